// Package web serves what the gateway knows about itself: the status page and
// its API, /metrics for Prometheus, and /livez, /readyz, /healthz.
//
// It holds the Status document that the page, the metrics, the health topic
// and the status command share, and knows nothing of how it comes about: the
// program hands it functions.
package web
