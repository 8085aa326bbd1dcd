package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

const proxyHelp = "write http://HOST:PORT or socks5://HOST:PORT"

// throughProxy connects to address through the proxy, which also looks up the
// broker's name.
func (c *Config) throughProxy(ctx context.Context, address string) (net.Conn, error) {
	u, err := url.Parse(c.Proxy)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "socks5" && u.Scheme != "socks5h" {
		return nil, failed(StepConfig, "proxy", fmt.Errorf("the proxy's URL cannot be used; %s", proxyHelp))
	}
	through, port := connectSOCKS, "1080"
	if u.Scheme == "http" {
		through, port = connectHTTP, "3128"
	}
	host := net.JoinHostPort(u.Hostname(), or(u.Port(), port))
	nc, err := c.dial(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	via, err := through(ctx, nc, u.User, address)
	if err != nil {
		_ = nc.Close()
		return nil, failed(StepProxy, host, err)
	}
	return via, nil
}

// connectHTTP asks an HTTP proxy for a tunnel (RFC 9110 §9.3.6).
func connectHTTP(ctx context.Context, nc net.Conn, user *url.Userinfo, address string) (via net.Conn, err error) {
	err = withContext(ctx, nc, func() error {
		req := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
		if user != nil {
			password, _ := user.Password()
			login := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
			req += "Proxy-Authorization: Basic " + login + "\r\n"
		}
		if _, err := io.WriteString(nc, req+"\r\n"); err != nil {
			return err
		}
		via, err = tunnelOpen(nc)
		return err
	})
	return via, err
}

// maxProxyHead bounds the head of a proxy's answer.
const maxProxyHead = 16 << 10

// tunnelOpen reads the proxy's answer. The connection it returns gives what
// came behind the answer first.
func tunnelOpen(nc net.Conn) (net.Conn, error) {
	limited := &io.LimitedReader{R: nc, N: maxProxyHead}
	r := bufio.NewReader(limited)
	res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		if limited.N <= 0 {
			return nil, fmt.Errorf("the proxy's answer is longer than %d bytes", maxProxyHead)
		}
		return nil, fmt.Errorf("read the proxy's answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the proxy answered %s", res.Status)
	}
	early, err := r.Peek(r.Buffered())
	if err != nil || len(early) == 0 {
		return nc, err
	}
	return &earlyConn{Conn: nc, early: bytes.NewReader(bytes.Clone(early))}, nil
}

// earlyConn is a connection some of whose bytes were read already.
type earlyConn struct {
	net.Conn
	early *bytes.Reader
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if c.early.Len() > 0 {
		return c.early.Read(p)
	}
	return c.Conn.Read(p)
}

// connectSOCKS speaks SOCKS5 (RFC 1928) on nc.
func connectSOCKS(ctx context.Context, nc net.Conn, user *url.Userinfo, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	err := withContext(ctx, nc, func() error {
		d, err := proxy.SOCKS5("tcp", nc.RemoteAddr().String(), auth, fixedDialer{nc})
		if err != nil {
			return err
		}
		_, err = d.Dial("tcp", address)
		return err
	})
	return nc, err
}

// fixedDialer hands out a connection that is there already.
type fixedDialer struct{ nc net.Conn }

// Dial implements proxy.Dialer.
func (d fixedDialer) Dial(string, string) (net.Conn, error) { return d.nc, nil }
