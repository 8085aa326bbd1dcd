package configs

// codeText explains a code: what it means, and what to do about it.
type codeText struct{ code, title, text string }

// codes explains every code of every package, in order; a test finds those in
// the source that are missing here. E01 is the file, E02 values and registers
// and the queue's settings, E03 names, buses, devices and publishing, E04
// ports and serial instruments, E05 the local broker, E06 commands, E07 events
// while running, E08 upstreams, E09 the page.
var codes = joinCodes(fileCodes, valueCodes, busCodes, brokerCodes, serialCodes, commandCodes, eventCodes, upstreamCodes, webCodes)
