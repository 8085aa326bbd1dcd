package mosquittoconf

// options says of every option of a connection section what becomes of it: an
// empty text is taken over by write, anything else is the comment that says
// why it has no counterpart.
var options = map[string]string{
	"address": "", "addresses": "", "topic": "", "round_robin": "", "bridge_protocol_version": "",
	"remote_clientid": "", "clientid": "", "remote_username": "", "username": "", "remote_password": "", "password": "",
	"keepalive_interval": "", "restart_timeout": "", "notifications": "", "notifications_local_only": "", "notification_topic": "",
	"bridge_cafile": "", "bridge_certfile": "", "bridge_keyfile": "", "bridge_insecure": "", "bridge_alpn": "", "bridge_outgoing_retain": "",
	"bridge_tls_use_os_certs": "", "start_type": "", "cleansession": "",

	"idle_timeout": "there is no lazy start: a gateway keeps its connection, or keeps to connect.schedule",
	"threshold":    "there is no lazy start: a gateway keeps its connection, or keeps to connect.schedule",
	"try_private":  "the bridge bit is tried by itself in 3.1.1, and left out where it is refused",

	"local_clientid":     "the bridge is part of the gateway: it does not log in to its own broker",
	"local_username":     "the bridge is part of the gateway: it does not log in to its own broker",
	"local_password":     "the bridge is part of the gateway: it does not log in to its own broker",
	"local_cleansession": "what waits for an upstream lies in the queue on disk, [buffer]; there is no session to clean",

	"bridge_attempt_unsubscribe":     "the session at the upstream is clean: there is nothing to unsubscribe from",
	"bridge_bind_address":            "a connection is bound to a network interface, not to an address",
	"bridge_capath":                  "write the certificates of the folder into one file and name it in tls.ca_file",
	"bridge_tls_version":             "TLS 1.3, or 1.2 where the upstream knows no better; older ones are not spoken",
	"bridge_require_ocsp":            "OCSP is not asked for; use certificates that live briefly",
	"bridge_ciphers":                 "the ciphers of TLS are Go's and not chosen by hand",
	"bridge_ciphers_tls1.3":          "the ciphers of TLS are Go's and not chosen by hand",
	"bridge_max_packet_size":         "the upstream's own limit is obeyed (MQTT 5); batch.max_bytes bounds a batch",
	"bridge_max_topic_alias":         "topic aliases are used as far as the upstream allows",
	"bridge_receive_maximum":         "the window grows with the link, within the upstream's Receive Maximum",
	"bridge_session_expiry_interval": "the session at the upstream is clean: what was published while the gateway was away never comes down",
	"bridge_reload_type":             "a reload replaces the upstreams whose section has changed, and no others",
	"bridge_tcp_keepalive":           "MQTT's own keep-alive finds a dead link; that of TCP would cost a metered link more",
	"bridge_tcp_user_timeout":        "TCP_USER_TIMEOUT is 30 seconds, always",
	"max_topic_alias":                "topic aliases are used as far as the upstream allows",
	"bridge_identity":                refusedPSK,
	"bridge_psk":                     refusedPSK,
}

// refusedPSK is why a bridge with a pre-shared key cannot work here.
const refusedPSK = "REFUSED: TLS with pre-shared keys is not spoken here (Go's TLS has none); give the upstream a certificate, and the gateway one or a password"
