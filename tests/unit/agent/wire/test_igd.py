"""UPnP-IGD texts: what is asked, and what a router may answer."""

from agent.errors import PeerError
from agent.wire import igd
from tests.expect import raises
from tests.sim.chance import Xorshift32

HOST = "192.168.7.1"
PLACE = (HOST, 35031, "/rootDesc.xml")
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
# As Debian's miniupnpd 2.3.1 answers.
FOUND = b"""HTTP/1.1 200 OK\r
CACHE-CONTROL: max-age=120\r
ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r
USN: uuid:703ed8a9::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r
EXT:\r
SERVER: Debian/12 UPnP/1.1 MiniUPnPd/2.3.1\r
LOCATION: http://192.168.7.1:35031/rootDesc.xml\r
BOOTID.UPNP.ORG: 1795378915\r
\r
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n"
DESCRIPTION = (
    OK
    + b"<root><serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>"
    + b"<controlURL>/ctl/L3F</controlURL></service><service><serviceType>"
    + SERVICE.encode()
    + b"</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/ctl/IPConn</controlURL>"
    + b"<SCPDURL>/WANIPCn.xml</SCPDURL></service></serviceList></root>"
)
ADDRESS = OK + b"<s:Body><u:R><NewExternalIPAddress a:b='c'> 11.22.33.1 </NewExternalIPAddress></u:R></s:Body>"
FAULT = b"HTTP/1.1 500 Internal Server Error\r\n\r\n<UPnPError><errorCode>718</errorCode></UPnPError>"


def refuses(call, *arguments):
    error = raises(PeerError, call, *arguments)
    assert len(error.text) < 200
    return error.code


def with_control(url):
    return DESCRIPTION.replace(b"/ctl/IPConn", url)


def test_requests():
    assert igd.search().startswith(b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n")
    assert igd.search().endswith(b"\r\n\r\n")
    assert igd.request("GET", PLACE).startswith(b"GET /rootDesc.xml HTTP/1.0\r\nHost: 192.168.7.1:35031\r\n")
    data = igd.call(SERVICE, PLACE, "DeletePortMapping", (("RemoteHost", ""), ("ExternalPort", 3478)))
    head, _, body = data.partition(b"\r\n\r\n")
    assert b'SOAPAction: "' + SERVICE.encode() + b'#DeletePortMapping"' in head
    assert b"Content-Length: " + str(len(body)).encode() in head
    assert b"<NewRemoteHost></NewRemoteHost><NewExternalPort>3478</NewExternalPort></u:DeletePortMapping>" in body


def test_answers():
    assert igd.location(FOUND, HOST) == PLACE
    assert igd.control(DESCRIPTION, PLACE) == (SERVICE, (HOST, 35031, "/ctl/IPConn"))
    assert igd.control(with_control(b"http://192.168.7.1:99/x"), PLACE)[1] == (HOST, 99, "/x")
    assert igd.control(with_control(b"http://192.168.7.1/x"), PLACE)[1] == (HOST, 80, "/x")
    assert igd.control(with_control(b"x/y"), PLACE)[1] == (HOST, 35031, "/x/y")
    igd.check(ADDRESS)
    assert igd.ipv4(igd.field(ADDRESS, "NewExternalIPAddress")) == b"\x0b\x16\x21\x01"


def test_faults():
    assert refuses(igd.check, FAULT) == "conflict"
    assert refuses(igd.check, FAULT.replace(b"718", b"725")) == "permanent"
    assert refuses(igd.check, FAULT.replace(b"718", b"501")) == "igd"
    assert refuses(igd.check, b"HTTP/1.1 404 Not Found\r\n\r\n") == "igd"
    assert refuses(igd.check, b"") == "igd"


def test_a_foreign_host_is_refused():
    for url in (b"http://11.22.33.9/x", b"http://192.168.7.10/x", b"http://192.168.7.1@11.22.33.9/x", b"http:///x"):
        assert refuses(igd.control, with_control(url), PLACE) == "igd"
        assert refuses(igd.location, FOUND.replace(b"http://192.168.7.1:35031/rootDesc.xml", url), HOST) == "igd"
    assert refuses(igd.location, FOUND, "192.168.7.9") == "igd"
    assert refuses(igd.location, FOUND.replace(b"http://192.168.7.1:35031", b""), HOST) == "igd"
    # What has another scheme is a path of the router itself.
    assert igd.control(with_control(b"https://11.22.33.9/x"), PLACE)[1][:2] == (HOST, 35031)
    for port in (b"0", b"65536", b"-1", b"1e3", b"", b"999999999"):
        data = with_control(b"http://192.168.7.1:" + port + b"/x")
        if port:
            assert refuses(igd.control, data, PLACE) == "igd"


def test_no_line_of_a_request_is_theirs():
    for url in (b"/x\r\nEvil: 1", b"/x y", b"/\x00", b"/\xc3\xa9", b"/" + b"x" * 300):
        assert refuses(igd.control, with_control(url), PLACE) == "igd"
    for text in ("1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.x", "", "1.2.3.-4", "1.2.3.0004444"):
        assert refuses(igd.ipv4, text) == "igd"


def test_any_bytes():
    """Invariant: whatever comes, a reader gives a place of this host with a path of one word, a short plain text, or
    PeerError."""
    rng = Xorshift32(11)
    readers = (
        (FOUND, lambda data: igd.location(data, HOST)),
        (DESCRIPTION, lambda data: igd.control(data, PLACE)[1]),
        (ADDRESS, lambda data: (HOST, 80, "/" + igd.field(data, "NewExternalIPAddress"))),
        (FAULT, igd.check),
    )
    taken = 0
    for turn in range(2000):
        good, read = readers[turn % 4]
        data = bytearray(good)
        for _ in range(1 + rng.below(6)):
            at = rng.below(len(data))
            data[at : at + rng.below(3)] = bytes([rng.below(256) for _ in range(rng.below(3))])
        try:
            place = read(bytes(data))
        except PeerError as error:
            assert error.code in ("igd", "conflict", "permanent") and len(error.text) < 400
            continue
        if place is not None:
            taken += 1
            assert place[0] == HOST and 0 < place[1] < 65536 and place[2][0] == "/" and len(place[2]) <= 258
            assert not [sign for sign in place[2] if not 32 < ord(sign) < 127]
    assert taken > 200
