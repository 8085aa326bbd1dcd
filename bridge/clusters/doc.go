// Package clusters holds the tests of the bridge against a cluster of RabbitMQ
// and a single node of it, in the role of the cloud. (Two mosquittos are tested
// in the bridge's own package.) It has no code of its own.
package clusters
