// Kongdao is a gateway for serverless functions and the toolkit that keeps them
// stable. Everything it does is in its commands; see kongdao --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	if embedded.IsChild() {
		os.Exit(embedded.RunChild())
	}
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, version, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
