package configs

// valueCodes are about tags, registers and the queue's settings.
var valueCodes = []codeText{
	{"E0201", "not a register", "A register is written h100 (letter c, d, i or h and the address on the wire, from 0), or as a Modicon reference of 5 or 6 digits, from 1: 40101."},
	{"E0202", "unknown area", "The letter is c for coils, d for discrete inputs, i for input registers and h for holding registers."},
	{"E0203", "unknown type", "The type of the value is not known. fieldgate config explain device.tag.reg lists the types of registers; serial instruments have their own."},
	{"E0204", "bit", "A bit is taken from an integer register as h120.3; bit 0 is the lowest. Coils and discrete inputs are bits already."},
	{"E0205", "unknown order", "The order of the bytes is ABCD, CDAB, BADC or DCBA, or for 64 bits ABCDEFGH, GHEFCDAB, BADCFEHG or HGFEDCBA."},
	{"E0206", "address beyond 65535", "Modbus addresses end at 65535 on the wire, which is reference 65536. A value of several registers must end there too."},
	{"E0207", "ambiguous register", "Plain digits that are no Modicon reference can mean two registers that are one apart. Write the letter: h100 is the address on the wire, 40101 the reference of the same register."},
	{"E0208", "value larger than a request", "The value takes more registers than the device gives in one request (max_registers). It cannot be split, or half of it could be old."},
	{"E0210", "scale or offset", "scale is a number other than 0, offset a number; a text has neither."},
	{"E0211", "range", "A range is two numbers, the smaller one first: range = [-20, 150]."},
	{"E0212", "enum", "enum names raw values: enum = { 0 = \"off\", 1 = \"on\" }, each once."},
	{"E0213", "invalid", "invalid lists raw values that mean \"no value\": numbers, \"0x8000\", or one of the presets \"sunspec\", \"ff\" and \"7fff\"."},
	{"E0214", "on_invalid", "on_invalid is bad, drop or hold."},
	{"E0215", "kind", "kind is \"counter\" or left out; a text is no counter."},
	{"E0216", "round", "round is the number of decimals, from -9 to 15."},
	{"E0217", "deadband", "deadband is a number, 0.2, or a share of the last value, \"0.5%\"."},
	{"E0218", "bits", "bits takes a piece of an integer, lowest bit first: bits = \"4..7\"."},
	{"E0219", "report", "report is change or poll."},
	{"E0220", "scale_tag", "scale_tag names another tag of the same device, or a register, that holds a power of ten."},
	{"E0221", "write", "Only holding registers and coils can be written; min must be below max and step above 0."},
	{"E0222", "rate", "rate is how many writes may happen in how long: \"1/5s\"."},
	{"E0230", "unknown full", "full is drop-oldest, drop-newest, thin or block."},
	{"E0231", "max_size", "max_size must leave room to work in: 256KiB or more."},
	{"E0232", "commit", "commit is how much a power cut may take, at most a minute."},
	{"E0233", "max_age", "max_age of the queue is too short or too long to mean what it says."},
}

// busCodes are about names, buses, devices, who we are and how we publish.
var busCodes = []codeText{
	{"E0301", "not a name", "Names of devices and tags become levels of topics. They must not be empty and must not hold / + or #."},
	{"E0302", "name taken twice", "Two sections have the same name. Devices and serial instruments share one space, because each is a level of the topics; so do buses and instruments."},
	{"E0303", "one wire, two owners", "Two sections use the same port or the same endpoint. Only one can own it: put the devices on one bus. by-id names and ttyUSB0 may be the same port."},
	{"E0304", "unknown bus", "The device is on a bus that the file does not have. Its name must be that of a [[bus]]."},
	{"E0310", "gateway id", "The id becomes a level of topics and part of client ids. It must not hold / + or #."},
	{"E0311", "unknown time zone", "Use a name of the time zone database, \"Asia/Shanghai\"."},
	{"E0312", "place", "Each part of [gateway.place] becomes a level of topics. It must not hold / + or #."},
	{"E0320", "unknown format", "publish.format is one of the formats that fieldgate config explain publish.format lists."},
	{"E0321", "unknown timestamp", "publish.timestamp is unix_ms, unix_s or rfc3339."},
	{"E0322", "unknown word for on", "publish.on is change or poll."},
	{"E0323", "unknown word for on_bad", "publish.on_bad is null, hold or silent."},
	{"E0324", "no such QoS", "QoS is 0 (at most once), 1 (at least once) or 2 (exactly once)."},
	{"E0325", "template", "The template of publish.template does not compile, or is missing for format = \"template\"."},
	{"E0326", "publish.topic", "The template of the topics has an unknown name in { }, or lacks {device} or {tag}."},
	{"E0327", "publish.base", "The template of the gateway's own topics has an unknown name in { }, or is no topic."},
	{"E0330", "bus without a wire", "A bus has exactly one of port, tcp and rtu_tcp."},
	{"E0331", "not a port, not an address", "port is a path such as /dev/serial/by-id/…, tcp and rtu_tcp are host:port."},
	{"E0332", "speed or mode", "baud is a speed of serial lines, mode is data bits, parity and stop bits: \"8E1\"."},
	{"E0333", "unknown word on a bus", "protocol is rtu or ascii, echo is auto, on or off, rs485.rts is driver or ioctl."},
	{"E0334", "retries or max_in_flight", "retries is 0 to 10, max_in_flight 1 to 8."},
	{"E0335", "too long or too short", "A time of the bus is beyond what makes sense on a wire."},
	{"W0332", "baud and mode on Modbus TCP", "They mean nothing there and can be removed."},
	{"W0334", "max_in_flight has no effect", "Requests on one connection go one after another in this version."},
	{"E0340", "unit", "Units are 1 to 247; 255 is used on TCP."},
	{"W0340", "reserved unit", "The standard keeps 248 to 255 for itself. Some devices use them all the same."},
	{"E0341", "max_gap or max_registers", "A request reads at most 125 registers."},
	{"E0342", "offline", "offline.after is 1 to 100 failures, offline.backoff_max 1s to 1h."},
	{"W0343", "device without tags", "Nothing is read from this device."},
	{"E0344", "poll", "A poll is 50ms to 24h."},
	{"W0345", "two tags write to one place", "Two tags with write reach the same register, so one undoes what the other set."},
	{"W0346", "one unit, two devices", "Two devices are the same unit of the same bus. That works, but they are polled apart and fail apart."},
}

// brokerCodes are about ports in use and the local broker.
var brokerCodes = []codeText{}

// serialCodes are about serial instruments.
var serialCodes = []codeText{
	{"E0421", "missing key of an instrument", "The instrument cannot be read without this key; the text of the error shows an example."},
	{"E0422", "unknown word of an instrument", "The key takes one of a few words; the nearest is shown."},
	{"E0423", "cannot be read", "Bytes are written in hex, \"AA C0\"; paths as a.b[0]; deadbands as 0.2 or \"0.5%\"."},
	{"E0424", "number out of place", "A position, length or count is outside of what the frame or the line allows."},
	{"E0425", "key without effect", "The key does not go with the frame, check or content of this instrument."},
	{"E0426", "pattern", "The regular expression does not compile. The syntax is RE2; groups are named (?P<name>…)."},
	{"E0427", "name taken twice", "Two tags or two requests of an instrument have the same name."},
	{"E0428", "line settings", "port, baud or mode cannot be those of a serial line."},
	{"E0429", "{check} without a check", "A request holds {check}, but the instrument has no check whose kind could be used."},
	{"W0421", "stale before the next request", "stale_after is shorter than the time between two requests, so the values would turn stale in between."},
	{"W0422", "gap too short", "The silence that ends a frame is shorter than what a USB adapter adds between bytes of one frame."},
}
