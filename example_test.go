package comntr_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/comntr/comntr"
)

func ExampleParseDocument() {
	place := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("/r/news")}
	doc, err := comntr.ParseDocument(place, []byte("Cool!"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s/%s: %s\n", doc.Place(), doc.ID(), doc.Body())

	_, err = comntr.ParseDocument(place, []byte("Signature: trust me\n"))
	var invalid *comntr.Invalid
	if errors.As(err, &invalid) {
		fmt.Println(invalid.Code)
	}
	// Output:
	// 27aa67d11878da3049675f218f9822318d27bf67/84d5fcc43a5a888643930cfa216833309b3dd96c/33754244c02265dc24dfec91d64a48410ec24831: Cool!
	// bad-header
}

// Post a comment to a server that runs on this machine, and read the thread.
func ExampleClient() {
	local := comntr.Guard{AllowPrivate: true} // a person named this address
	c, err := comntr.NewClient("http://127.0.0.1:4080", local.HTTPClient())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	place := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("/r/news")}
	if _, _, err := c.Post(ctx, place, []byte("Cool!")); err != nil {
		var p *comntr.Problem
		if errors.As(err, &p) {
			log.Fatalf("refused: %s (%s)", p.Detail, p.Code)
		}
		log.Fatal(err)
	}
	folder, err := c.Folder(ctx, place)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(folder.CID)
	for _, f := range folder.Comments {
		doc, err := comntr.ParseDocument(place, f.Bytes)
		if err != nil {
			continue // not for this topic, or of a later version
		}
		fmt.Printf("%s: %q\n", doc.ID(), doc.Body())
	}
}

func ExampleVersion() {
	cool := []byte("Cool!")
	for _, v := range []comntr.Version{0, 1} {
		folder := &comntr.Node{Links: []comntr.Link{{
			Name: comntr.SumHash(cool),
			CID:  v.LeafCID(cool),
			Size: uint64(len(v.LeafBlock(cool))),
		}}}
		fmt.Println(v.FolderCID(folder.Encode())) // as `ipfs add -r` prints it
	}
	// Output:
	// QmYvkBkoZnrD6DC3WxkyaCtuv9PJxmbN5VEc7246uQvEsa
	// bafybeibstabb66mue2qolxwsmnaitskmvfh6vxlswsir5hpdrhvuektgfa
}
