package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/packet"
)

const (
	readBuffer   = 64 << 10
	connectLimit = 10 * time.Second // for everything up to the SUBACK
)

// link is one MQTT 3.1.1 connection of the load, as bare as it can be: packets
// are read in place, and written in whatever lumps the owner makes.
type link struct {
	net.Conn
	buf   []byte
	start int // of what is not handled yet
	end   int
}

// linkOptions say how a link logs in.
type linkOptions struct {
	address  string
	client   string
	keep     bool // the session outlives the connection
	username string
	password string
}

// dialLink connects and logs in.
func dialLink(ctx context.Context, o linkOptions) (*link, error) {
	d := net.Dialer{Timeout: connectLimit}
	c, err := d.DialContext(ctx, "tcp", o.address)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: c, buf: make([]byte, readBuffer)}
	if err := l.login(o); err != nil {
		c.Close()
		return nil, fmt.Errorf("log in to %s: %w", o.address, err)
	}
	return l, nil
}

func (l *link) login(o linkOptions) error {
	connect := packet.Connect{Version: mqtt.V311, CleanStart: !o.keep, KeepAlive: 600, ClientID: o.client}
	if o.username != "" {
		connect.Username, connect.HasUsername = o.username, true
		connect.Password, connect.HasPassword = []byte(o.password), true
	}
	p, err := l.exchange(&connect)
	if err != nil {
		return err
	}
	ack, ok := p.(*packet.Connack)
	if !ok {
		return fmt.Errorf("%v instead of a CONNACK", p.Type())
	}
	if ack.Reason != 0 {
		return ack.Reason
	}
	return nil
}

// subscribe asks for one filter and waits for the answer.
func (l *link) subscribe(filter string, qos mqtt.QoS) error {
	p, err := l.exchange(&packet.Subscribe{PacketID: 1, Subscriptions: []mqtt.Subscription{{Filter: filter, QoS: qos}}})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	ack, ok := p.(*packet.Suback)
	if !ok || len(ack.Reasons) != 1 || ack.Reasons[0] != mqtt.ReasonCode(qos) {
		return fmt.Errorf("subscribe to %s: %v instead of QoS %d granted", filter, p, qos)
	}
	return nil
}

// exchange sends one packet and reads one, before the load begins.
func (l *link) exchange(p packet.Packet) (packet.Packet, error) {
	b, err := p.Append(nil, mqtt.V311)
	if err != nil {
		return nil, err
	}
	if err := l.SetDeadline(time.Now().Add(connectLimit)); err != nil {
		return nil, err
	}
	if _, err := l.Write(b); err != nil {
		return nil, err
	}
	header, body, err := l.next()
	if err != nil {
		return nil, err
	}
	if err := l.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return packet.Decode(header, body, mqtt.V311)
}

// next is the next packet; body is valid until the call after it.
func (l *link) next() (header byte, body []byte, err error) {
	for {
		header, body, n, err := packet.Split(l.buf[l.start:l.end], 0)
		if err != nil || n > 0 {
			l.start += n
			return header, body, err
		}
		if err := l.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// fill reads more behind what is there.
func (l *link) fill() error {
	if l.start > 0 {
		l.end = copy(l.buf, l.buf[l.start:l.end])
		l.start = 0
	}
	if l.end == len(l.buf) {
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
	}
	n, err := l.Read(l.buf[l.end:])
	l.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// drained says that the next packet has not come yet: the moment to flush.
func (l *link) drained() bool {
	_, _, n, err := packet.Split(l.buf[l.start:l.end], 0)
	return n == 0 && err == nil
}

// bye ends the connection in order.
func (l *link) bye() {
	_, _ = l.Write([]byte{byte(packet.TypeDisconnect) << 4, 0}) // it ends either way
	l.Close()
}

// appendAck appends PUBACK, PUBREC, PUBREL or PUBCOMP of 3.1.1.
func appendAck(dst []byte, t packet.Type, id uint16) []byte {
	header := byte(t) << 4
	if t == packet.TypePubrel {
		header |= 2 // [MQTT-3.6.1-1]
	}
	return append(dst, header, 2, byte(id>>8), byte(id))
}

// ackID is the packet id of such a packet; 0, which is none, of a broken one.
func ackID(body []byte) uint16 {
	if len(body) < 2 {
		return 0
	}
	return uint16(body[0])<<8 | uint16(body[1])
}
