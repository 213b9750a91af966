// The gateway of boxo, as Kubo and the public gateways have it, over one folder:
//
//	gateway DIR
//
// adds DIR as `ipfs add -r --cid-version=1` does and serves it on an address of
// loopback: below /ipfs/<cid>/ by its IP address, and at <cid>.ipfs.localhost. It
// prints the CID and the port, and ends when its standard input does. It is a
// module of its own, since it needs far more than comntr does.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/exchange/offline"
	"github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	uio "github.com/ipfs/boxo/ipld/unixfs/io"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	blocks := blockservice.New(blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore())), nil)
	blocks = blockservice.New(blocks.Blockstore(), offline.Exchange(blocks.Blockstore()))
	root, err := add(ctx, merkledag.NewDAGService(blocks), dir)
	if err != nil {
		return err
	}
	backend, err := gateway.NewBlocksBackend(blocks)
	if err != nil {
		return err
	}
	config := gateway.Config{
		DeserializedResponses: true,
		NoDNSLink:             true,
		PublicGateways: map[string]*gateway.PublicGateway{
			"localhost": {Paths: []string{"/ipfs"}, UseSubdomains: true, NoDNSLink: true, DeserializedResponses: true},
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/ipfs/", gateway.NewHandler(config, backend))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(root.Cid(), l.Addr().(*net.TCPAddr).Port)
	go http.Serve(l, gateway.NewHostnameHandler(config, backend, mux))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func add(ctx context.Context, dag ipld.DAGService, path string) (ipld.Node, error) {
	prefix := cid.Prefix{Version: 1, Codec: cid.DagProtobuf, MhType: multihash.SHA2_256, MhLength: -1}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		params := helpers.DagBuilderParams{Dagserv: dag, RawLeaves: true, Maxlinks: helpers.DefaultLinksPerBlock, CidBuilder: prefix}
		builder, err := params.New(chunk.DefaultSplitter(f))
		if err != nil {
			return nil, err
		}
		return balanced.Layout(builder)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	folder, err := uio.NewDirectory(dag, uio.WithCidBuilder(prefix))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		child, err := add(ctx, dag, filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		if err := folder.AddChild(ctx, e.Name(), child); err != nil {
			return nil, err
		}
	}
	node, err := folder.GetNode()
	if err != nil {
		return nil, err
	}
	return node, dag.Add(ctx, node)
}
