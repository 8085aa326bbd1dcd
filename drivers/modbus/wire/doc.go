// Package wire puts Modbus requests on one wire and brings back answers that
// belong to them.
//
// A Line is one serial port or one endpoint of a network. It lets one request through
// at a time, writes before reads, otherwise first come first served; the
// calling goroutine does the talking. There is no other, except at a port where
// devices dial in (Listen): there one accepts, and one a connection hears out
// who it is.
//
// What a Line promises: a Reply is the answer to its Request, or there is an
// error. On RTU and ASCII nothing in a frame says which request it answers,
// so the promise rests on four habits:
//
//   - A frame is found by its content (unit, function, length, check sum), never
//     by pauses, and is compared with the request before it counts.
//   - After anything but a good exchange the line is read until it has been
//     silent for LateGuard, before the next request and not at its expense.
//   - A request that was never answered stays on a list. While its answer might
//     still come, a request whose answer would look the same is preceded by a
//     check read whose answer looks different: units answer in order, so once
//     that one is answered nothing older can follow.
//   - The first request to a unit after another one's silence may be missed by it:
//     it is repeated once, whatever Retries is, and that time-out does not count.
//   - A write is never repeated, unless the caller says that it may be.
//
// On Modbus TCP the transaction number does all this, in the clear or over TLS.
// There Stream may keep several requests under way (Config.MaxInFlight). Each
// answer finds its request by its number and is compared with it; a device that
// loses, repeats or mixes up what it is asked in company is asked one by one
// from then on. One that puts the content of another answer of the same length
// under the right number cannot be found out: MaxInFlight is for devices that
// are known to take several.
//
// RTU frames in UDP datagrams keep the same habits, and each request leaves
// from a port of its own: what the network delivers late or twice arrives at a
// port that nobody reads any more. One case is beyond help: a network that
// doubles a request, in front of a serial server that answers whoever asked
// last. It makes two answers, and nothing in the second tells that it is one.
//
// RTU and ASCII frames are packed by github.com/goburrow/modbus; its transports
// are not used (they sleep before reading, mix up late answers, and never
// reconnect). Line.Client lends its client our transport.
package wire
