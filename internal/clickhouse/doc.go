// Package clickhouse opens ClickHouse the way every part of KongDao does: over the
// native protocol, with one small pool, and with a password that is never printed.
//
// It is a thin layer over clickhouse-go. [Client] has that driver's own methods;
// what is added is [Options], a value that can be copied, compared by eye and
// logged, [ParseDSN], whose errors never repeat the password, and a pool that
// follows a server whose address changes. [Inserter] sends blocks that are encoded
// already, which the driver cannot.
//
// It promises no retries: who may repeat a statement knows why that is safe.
package clickhouse
