package conformance

import "regexp"

// differences are the statements that mosquitto 2.0.11 does not keep, or reads
// otherwise than we do: what it does, and by which statement who is right.
var differences = map[string]string{
	"5.0 1.5.5-1":   "takes lengths with needless bytes; malformed by 1.5.5-1: we are right",
	"5.0 2.1.3-1":   "does not look at the flags of PINGREQ; malformed by 2.1.3-1: we are right",
	"3.1.1 2.2.2-1": "does not look at the flags of PINGREQ; 2.2.2-2 closes: we are right",
	"5.0 3.1.2-25":  "what is too large for a client takes a place in its window for good; it counts as delivered by 3.1.2-25: we are right",
	"3.1.1 3.1.3-9": "takes client ids of any length, we up to 1,024 bytes; 3.1.3-5 asks for 23: both are right",
	"5.0 3.1.3-8":   "takes client ids of any length, we up to 1,024 bytes; 3.1.3-5 asks for 23: both are right",
	"3.1.1 3.3.1-2": "takes QoS 0 with DUP; it MUST be 0 by 3.3.1-2, and 4.8.0-1 closes: we are right",
	"5.0 3.3.1-2":   "takes QoS 0 with DUP; it MUST be 0 by 3.3.1-2, and 4.13.1-1 closes: we are right",
	"5.0 3.3.2-14":  "takes a response topic with wildcards; 3.3.2-14 forbids it: we are right",
	"3.1.1 3.3.5-1": "sends one copy with the QoS of any of the subscriptions; the highest by 3.3.5-1: we are right",
	"5.0 3.3.4-2":   "sends a copy per subscription, we one with the highest QoS; 3.3.4-2 allows further copies: both are right",
	"5.0 3.3.4-4":   "sends a copy per subscription, each with its identifier, as 3.3.4-5 says; we one with all, as 3.3.4-4 says: both are right",
	"5.0 3.3.4-6":   "takes subscription identifiers from a client; 3.3.4-6 forbids them: we are right",
	"5.0 3.4.2-1":   "takes a PUBACK with any reason code; 3.4.2-1 has a table: we are right",
	"5.0 3.5.2-1":   "takes a PUBREC with any reason code; 3.5.2-1 has a table: we are right",
	"5.0 3.6.2-1":   "takes a PUBREL with any reason code; 3.6.2-1 has a table: we are right",
	"5.0 3.7.2-1":   "takes a PUBCOMP with any reason code; 3.7.2-1 has a table: we are right",
	"5.0 3.8.3-4":   "takes No Local with a shared subscription; an error by 3.8.3-4: we are right",
	"5.0 3.14.2-1":  "takes a DISCONNECT with a reason code of no table as a normal one, and discards the will; 3.14.2-1 with 4.13.1-1 make it an error: we are right",
	"5.0 4.3.3-7":   "lets a message expire that was sent and not acknowledged; 4.3.3-7 forbids it: we are right",
	"3.1.1 4.8.0-1": "ignores packets that only a server sends; a violation that closes by 4.8.0-1: we are right",
	"5.0 4.8.2-1":   "takes $share// as a filter like others; 4.8.2-1 asks for a name: we are right",
	"5.0 4.8.2-2":   "takes $share/g as a filter like others; 4.8.2-2 asks for a filter behind the name: we are right",
	"5.0 4.13.1-1":  "ignores packets that only a server sends; an error by 4.13.1-1: we are right",
}

// lenience are the packets of the matrix of which mosquitto 2.0.11 thinks
// otherwise than the specification, and by which statement. Patterns of the
// packet's version and name, and what is wrong with it.
var lenience = []struct{ pattern, why string }{
	{`(PINGREQ|PUBACK|PUBREC|PUBCOMP): flags`, "5.0 2.1.3-1, 3.1.1 2.2.2-2: reserved flags with another value are malformed"},
	{`(PINGREQ|PUBACK|PUBREC|PUBREL|PUBCOMP): a byte too many`, "5.0 4.13.1-1, 3.1.1 4.8.0-1: what is behind the end of a packet is no part of any"},
	{`CONNECT: 16 authentication data in CONNECT`, "5.0 section 3.1.2.11.10: data without a method are a protocol error"},
	{`01 payload format indicator in .* out of range`, "5.0 section 3.3.2.3.2 knows 0 and 1"},
	{`PUBLISH: 0b subscription identifier in PUBLISH$`, "5.0 3.3.4-6: not from a client"},
}

// lenient reports which of lenience covers a packet, -1 for none.
func lenient(name string) int {
	for i, l := range lenience {
		if regexp.MustCompile(l.pattern).MatchString(name) {
			return i
		}
	}
	return -1
}
