"""A Modbus slave made of pymodbus, for the tests.

slave.py socket|rtu|ascii PORT   on TCP; rtu and ascii speak their frames over TCP
slave.py rtu|ascii PATH          on a serial line
The same memory as slave.c.
"""
import sys
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartSerialServer, StartTcpServer
from pymodbus.transaction import ModbusAsciiFramer, ModbusRtuFramer, ModbusSocketFramer

memory = ModbusSlaveContext(
    co=ModbusSequentialDataBlock(0, [n % 2 == 0 for n in range(200)]),
    di=ModbusSequentialDataBlock(0, [n % 3 == 0 for n in range(200)]),
    hr=ModbusSequentialDataBlock(0, [n + 1000 for n in range(200)]),
    ir=ModbusSequentialDataBlock(0, [n + 2000 for n in range(200)]),
    zero_mode=True,
)
framers = {"socket": ModbusSocketFramer, "rtu": ModbusRtuFramer, "ascii": ModbusAsciiFramer}
context = ModbusServerContext(slaves={1: memory}, single=False)
framer, place = framers[sys.argv[1]], sys.argv[2]
if place.isdigit():
    StartTcpServer(context=context, address=("127.0.0.1", int(place)), framer=framer, allow_reuse_address=True)
else:
    StartSerialServer(context=context, port=place, framer=framer, baudrate=115200, timeout=1)
