"""HMAC-SHA-256 (RFC 4231), HMAC-SHA-1 (RFC 2202), MD5 (RFC 1321), HKDF (RFC 5869 appendix A), PBKDF2 (the cases of
RFC 6070 with SHA-256, and RFC 7914 section 11), comparison and entropy.
"""

from agent import port
from agent.errors import UsageError
from tests.expect import raises

RFC4231 = (  # key, data, MAC (the fifth is published truncated)
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)

RFC2202 = (  # key, data, MAC
    (b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
    (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    (b"\xaa" * 20, b"\xdd" * 50, "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
    (bytes(range(1, 26)), b"\xcd" * 50, "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
    (b"\x0c" * 20, b"Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
    (
        b"\xaa" * 80,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "aa4ae5e15272d00e95705637ce8a3b55ed402112",
    ),
    (
        b"\xaa" * 80,
        b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
        "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
    ),
)

RFC1321 = (  # data, digest
    (b"", "d41d8cd98f00b204e9800998ecf8427e"),
    (b"a", "0cc175b9c0f1b6a831c399e269772661"),
    (b"abc", "900150983cd24fb0d6963f7d28e17f72"),
    (b"message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    (b"1234567890" * 8, "57edf4a22be3c955ac49da2e2107b67a"),
)

RFC5869 = (  # secret, salt, info, length, output
    (
        b"\x0b" * 22,
        bytes(range(13)),
        bytes(range(0xF0, 0xFA)),
        42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(80)),
        bytes(range(0x60, 0xB0)),
        bytes(range(0xB0, 0x100)),
        82,
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        b"\x0b" * 22,
        b"",
        b"",
        42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
)

PBKDF2 = (  # password, salt, iterations, output
    (b"password", b"salt", 1, "120fb6cffcf8b32c43e7225256c4f837a86548c9"),
    (b"password", b"salt", 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8e"),
    (b"password", b"salt", 4096, "c5e478d59288c841aa530db6845c4c8d962893a0"),
    (
        b"passwordPASSWORDpassword",
        b"saltSALTsaltSALTsaltSALTsaltSALTsalt",
        4096,
        "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c",
    ),
    (b"pass\0word", b"sa\0lt", 4096, "89b69d0516f829893c696226650a8687"),
    (
        b"passwd",
        b"salt",
        1,
        "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783",
    ),
)


def test_hmac():
    crypto = port.crypto()
    for key, data, mac in RFC4231:
        assert crypto.hmac_sha256(key, data).hex()[: len(mac)] == mac
    for length in (0, 1, 63, 64, 65, 200):  # around the block, where a key is padded or hashed
        assert crypto.hmac_sha256(b"k" * length, b"") != crypto.hmac_sha256(b"l" + b"k" * length, b"")
    # A key of exactly one block is used as it is (value of the standard library).
    block = "4ad458bc38a391d72ea559af4da228247f7de81972fd936182b5a85f81e45ac2"
    assert crypto.hmac_sha256(b"k" * 64, b"d").hex() == block
    assert crypto.hmac_sha256(b"k" * 65, b"d") == crypto.hmac_sha256(crypto.sha256(b"k" * 65), b"d")


def test_hmac_sha1():
    crypto = port.crypto()
    for key, data, mac in RFC2202:
        assert crypto.hmac_sha1(key, data).hex() == mac
    assert crypto.hmac_sha1(b"k" * 64, b"d") != crypto.hmac_sha1(b"k" * 65, b"d")


def test_md5():
    crypto = port.crypto()
    for data, digest in RFC1321:
        assert crypto.md5(data).hex() == digest


def test_hkdf():
    crypto = port.crypto()
    for secret, salt, info, length, output in RFC5869:
        assert crypto.hkdf_sha256(secret, salt, info, length).hex() == output
    assert crypto.hkdf_sha256(b"s", b"", b"", 32) == crypto.hkdf_sha256(b"s", bytes(32), b"", 32)
    whole = crypto.hkdf_sha256(b"s", b"t", b"i", 1000)
    for length in (1, 31, 32, 33, 64, 999):
        assert crypto.hkdf_sha256(b"s", b"t", b"i", length) == whole[:length]
    assert len(crypto.hkdf_sha256(b"s", b"", b"", 2500)) == 2500
    for length in (-1, 0, 8161):
        assert raises(UsageError, crypto.hkdf_sha256, b"s", b"", b"", length).code == "length"


def test_pbkdf2():
    crypto = port.crypto()
    for password, salt, iterations, output in PBKDF2:
        assert crypto.pbkdf2_sha256(password, salt, iterations, len(output) // 2).hex() == output
    assert len(crypto.pbkdf2_sha256(b"", b"", 1, 80)) == 80
    assert raises(UsageError, crypto.pbkdf2_sha256, b"p", b"s", 0, 32).code == "length"
    assert raises(UsageError, crypto.pbkdf2_sha256, b"p", b"s", 1, 0).code == "length"


def test_sha256():
    crypto = port.crypto()
    assert crypto.sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert crypto.sha256(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_equal():
    crypto = port.crypto()
    assert crypto.equal(b"", b"") and crypto.equal(b"abc", b"abc")
    for other in (b"", b"ab", b"abd", b"Abc", b"abcd", b"\0abc"):
        assert crypto.equal(b"abc", other) is False


def test_entropy():
    crypto = port.crypto()
    assert crypto.entropy(0) == b""
    drawn = [crypto.entropy(16) for _ in range(20)]
    assert len(set(drawn)) == 20 and all(len(one) == 16 for one in drawn)
