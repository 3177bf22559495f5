// Bundle builds the chat widget: the TypeScript and CSS in its first argument,
// a folder, become what a browser loads, in its second. The same sources always
// make the same bytes.
//
//	go -C tools run ./bundle ../widget/src ../widget/dist
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: bundle SOURCES TARGET")
	}
	if err := bundle(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// bundle builds the chat first: its name and hash become part of the launcher,
// which comes as a script and as a module.
func bundle(sources, target string) error {
	types, err := os.ReadFile(filepath.Join(sources, "widget.d.ts"))
	if err != nil {
		return err
	}
	if name := regexp.MustCompile(`(?m)^\s+(` + own + `)\??[(:]`).Find(types); name != nil {
		return fmt.Errorf("pages know the property %q: it cannot be one of the widget's own", name)
	}
	names := map[string]any{}
	chat, err := build(filepath.Join(sources, "chat.ts"), api.FormatESModule, nil, names)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(chat)
	where := map[string]string{
		"CHAT_PATH":      fmt.Sprintf("%q", "widget/"+hex.EncodeToString(sum[:8])+".js"),
		"CHAT_INTEGRITY": fmt.Sprintf("%q", "sha256-"+base64.StdEncoding.EncodeToString(sum[:])),
	}
	script, err := build(filepath.Join(sources, "script.ts"), api.FormatIIFE, where, names)
	if err != nil {
		return err
	}
	module, err := build(filepath.Join(sources, "module.ts"), api.FormatESModule, where, names)
	if err != nil {
		return err
	}
	return errors.Join(
		write(target, "chat.js", chat),
		write(target, "widget.js", script),
		write(target, "widget.mjs", module),
		write(target, "widget.d.ts", types),
	)
}

// own are properties of the widget's own objects, which are given shorter names.
// None of them may be known to a page, to a server, to the browser or to what is
// kept in its storage.
const own = "added|announce|ask|base|begin|changed|earlier|element|emit|greet|host|keep|loaded|refresh|removed|restart|root|rotate|rtl|save|" +
	"server|settings|share|shared|shown|small|store|streamed|tab|transport|update|waiting"

// build bundles one entry point, and adds the names that it gives to properties
// to those that were given before. The browsers are those with everything that
// the widget uses as it is: constructable style sheets came last, in Safari.
func build(entry string, format api.Format, define map[string]string, names map[string]any) ([]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints:       []string{entry},
		Bundle:            true,
		Format:            format,
		Define:            define,
		Plugins:           []api.Plugin{styles},
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		LegalComments:     api.LegalCommentsNone,
		Charset:           api.CharsetUTF8,
		TsconfigRaw:       "{}",
		MangleProps:       "^(" + own + ")$",
		MangleCache:       names,
	})
	if len(result.Errors) > 0 {
		messages := api.FormatMessages(result.Errors, api.FormatMessagesOptions{})
		return nil, fmt.Errorf("build %s: %s", entry, strings.Join(messages, ""))
	}
	maps.Copy(names, result.MangleCache)
	return result.OutputFiles[0].Contents, nil
}

// styles makes a style sheet importable as a string, minified.
var styles = api.Plugin{Name: "styles", Setup: func(b api.PluginBuild) {
	b.OnLoad(api.OnLoadOptions{Filter: `\.css$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
		source, err := os.ReadFile(args.Path)
		if err != nil {
			return api.OnLoadResult{}, err
		}
		result := api.Transform(string(source), api.TransformOptions{
			Loader:           api.LoaderCSS,
			MinifyWhitespace: true,
			MinifySyntax:     true,
			Engines: []api.Engine{
				{Name: api.EngineChrome, Version: "111"},
				{Name: api.EngineFirefox, Version: "114"},
				{Name: api.EngineSafari, Version: "16.4"},
			},
		})
		css := string(bytes.TrimSpace(result.Code))
		return api.OnLoadResult{Contents: &css, Loader: api.LoaderText, Errors: result.Errors, Warnings: result.Warnings}, nil
	})
}}

// write writes a file and, beside it, what is sent to browsers that read Brotli.
func write(target, name string, data []byte) error {
	var compressed bytes.Buffer
	w := brotli.NewWriterLevel(&compressed, brotli.BestCompression)
	if _, err := w.Write(data); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	path := filepath.Join(target, name)
	return errors.Join(
		os.WriteFile(path, data, 0o644),
		os.WriteFile(path+".br", compressed.Bytes(), 0o644),
	)
}
