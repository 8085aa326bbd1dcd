// A Modbus slave made of modbus-serial, for the tests: slave.js MODULES tcp PORT | slave.js MODULES rtu PATH.
// The same memory as slave.c.
"use strict";
const [modules, kind, place] = process.argv.slice(2);
const { ServerTCP, ServerSerial } = require(modules + "/modbus-serial");

const make = (value) => Array.from({ length: 200 }, (_, n) => value(n));
const coils = make((n) => n % 2 === 0);
const discretes = make((n) => n % 3 === 0);
const holdings = make((n) => n + 1000);
const inputs = make((n) => n + 2000);

function at(table, address) {
  if (address >= table.length) throw { modbusErrorCode: 2, msg: "illegal data address" };
  return table[address];
}
function put(table, address, value) {
  at(table, address);
  table[address] = value;
}
const unit = {
  getCoil: (a) => at(coils, a),
  getDiscreteInput: (a) => at(discretes, a),
  getHoldingRegister: (a) => at(holdings, a),
  getInputRegister: (a) => at(inputs, a),
  setCoil: (a, v) => put(coils, a, v),
  setRegister: (a, v) => put(holdings, a, v),
};
if (kind === "tcp") {
  new ServerTCP(unit, { host: "127.0.0.1", port: Number(place), unitID: 1 });
} else {
  new ServerSerial(unit, { path: place, baudRate: 115200, unitID: 1 });
}
