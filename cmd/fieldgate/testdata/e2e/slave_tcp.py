"""A Modbus TCP slave by pymodbus 3.0: holding registers 0-1 hold a uint32
(ABCD) that rises by one every 100 ms, register 10 is a set-point.

usage: slave_tcp.py PORT
"""
import asyncio
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartAsyncTcpServer

HOLDING = 3


async def count(store):
    n = 0
    while True:
        n += 1
        store.setValues(HOLDING, 0, [n >> 16, n & 0xFFFF])
        await asyncio.sleep(0.1)


async def main(port):
    store = ModbusSlaveContext(hr=ModbusSequentialDataBlock(0, [0] * 100), zero_mode=True)
    counter = asyncio.ensure_future(count(store))
    print("ready", flush=True)
    await StartAsyncTcpServer(context=ModbusServerContext(slaves=store, single=True), address=("127.0.0.1", port))
    counter.cancel()


asyncio.run(main(int(sys.argv[1])))
