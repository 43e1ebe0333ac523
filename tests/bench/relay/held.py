"""What the server's process keeps for each allocation: python -m tests.bench.relay.held --help"""

import json

from tests.bench.relay.load import account_of, parser, rss_kib, server_of
from tests.bench.relay.turn import Client


def main() -> None:
    words = parser("held", __doc__)
    words.add_argument("--count", type=int, default=2000)
    options = words.parse_args()
    clients = [Client(server_of(options), account_of(options))]  # what the first one loads is not counted
    clients[0].allocate()
    before = rss_kib(options.pid)
    for _ in range(options.count):
        clients.append(Client(server_of(options), account_of(options)))
        clients[-1].allocate()
    each = (rss_kib(options.pid) - before) / options.count
    for client in clients:
        client.delete()
    print(json.dumps({"kib_each": each, "before_kib": before, "after_kib": rss_kib(options.pid)}))


if __name__ == "__main__":
    main()
