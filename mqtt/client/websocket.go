package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"fieldgate/mqtt"
)

// webSocket does the handshake on nc (MQTT 5.0 §6). TLS, if any, is done.
func (c *Config) webSocket(ctx context.Context, nc net.Conn, e endpoint) (net.Conn, error) {
	protocol := "mqtt"
	if c.Version == mqtt.V31 {
		protocol = "mqttv3.1"
	}
	ws, _, err := websocket.Dial(ctx, "ws://"+e.address+e.path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nc, nil },
		}},
		HTTPHeader:   c.Header,
		Subprotocols: []string{protocol},
	})
	if err != nil {
		return nil, err
	}
	if ws.Subprotocol() != protocol { // [MQTT-6.0.0-4]
		_ = ws.CloseNow()
		return nil, fmt.Errorf("the server did not accept the subprotocol %q", protocol)
	}
	return &wsConn{Conn: websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws: ws, raw: nc}, nil
}

// wsConn is a WebSocket as a byte stream. Deadlines are those of the
// connection under it, for a WebSocket cannot go on after one anyway.
type wsConn struct {
	net.Conn
	ws  *websocket.Conn
	raw net.Conn
}

// CloseWrite says goodbye: the peer answers with a close of its own.
func (c *wsConn) CloseWrite() error { return c.ws.Close(websocket.StatusNormalClosure, "") }

// Close closes at once, and ends a CloseWrite that waits for the peer.
func (c *wsConn) Close() error {
	_ = c.raw.Close()
	return c.ws.CloseNow()
}

func (c *wsConn) LocalAddr() net.Addr                { return c.raw.LocalAddr() }
func (c *wsConn) RemoteAddr() net.Addr               { return c.raw.RemoteAddr() }
func (c *wsConn) SetDeadline(t time.Time) error      { return c.raw.SetDeadline(t) }
func (c *wsConn) SetReadDeadline(t time.Time) error  { return c.raw.SetReadDeadline(t) }
func (c *wsConn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }
