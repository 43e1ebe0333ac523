"""What a verifier remembers: the window that is open and the one attempt that is running."""

from agent.core.pairing import spake2plus
from agent.core.pairing.channel import Channel
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.port import contract


class Window:
    """One record in force, with what is made from it once."""

    def __init__(self, crypto: "contract.Crypto", record: pairing_frames.Record, ends_at: int) -> None:
        crypto.p256_multiply(1, record.point_l)  # a damaged record shows now, not as a guest's fault
        self.record = record
        self.record_id = crypto.sha256(record.salt + record.point_l)[:8]
        self.mask_m, self.mask_n = spake2plus.mask_points(crypto, record.w0)
        self.ends_at = ends_at


class Session:
    """One attempt. `step`: what must come next; `deadline`: by when."""

    def __init__(self, session_id: bytes, core: str, device: str, context: bytes, window: Window) -> None:
        self.id = session_id
        self.core = core
        self.device = device
        self.context = context
        self.window = window
        self.step = Step.SHARE
        self.deadline = 0
        self.request = b""
        self.answer = b""
        self.is_counted = False
        self.is_pending = False
        self.share_v = b""
        self.keys: spake2plus.Keys | None = None
        self.channel: Channel | None = None
