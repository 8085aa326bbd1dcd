"""A Modbus slave made of pymodbus, for the tests: slave.py socket|rtu PORT.

The same memory as slave.c. "rtu" speaks RTU frames over TCP.
"""
import sys
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartTcpServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer

memory = ModbusSlaveContext(
    co=ModbusSequentialDataBlock(0, [n % 2 == 0 for n in range(200)]),
    di=ModbusSequentialDataBlock(0, [n % 3 == 0 for n in range(200)]),
    hr=ModbusSequentialDataBlock(0, [n + 1000 for n in range(200)]),
    ir=ModbusSequentialDataBlock(0, [n + 2000 for n in range(200)]),
    zero_mode=True,
)
framer = ModbusRtuFramer if sys.argv[1] == "rtu" else ModbusSocketFramer
StartTcpServer(
    context=ModbusServerContext(slaves={1: memory}, single=False),
    address=("127.0.0.1", int(sys.argv[2])),
    framer=framer,
)
