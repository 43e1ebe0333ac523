"""Everything that runs on a board, floor by floor (tools/check keeps it so):

4  app, __main__      composition root and the command a person types
3  service/           drivers: a few dozen lines of I/O around each machine
2  core/              machines without I/O: bytes and time in, bytes and events out
1  wire/              bytes <-> values
0  errors, limits     what everything may use
|  port/              beside the floors: the only place that knows the interpreter
"""

__version__ = "0.1.0"
