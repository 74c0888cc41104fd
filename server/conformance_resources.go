//go:build conformance

package server

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

func (f *conformanceFixtures) addResources() {
	f.addResource("static-text", "A text", mcp.TextResourceContents{
		URI: "test://static-text", MIMEType: "text/plain", Text: "This is the content of the static text resource.",
	})
	f.addResource("watched-resource", "A text that clients subscribe to", mcp.TextResourceContents{
		URI: "test://watched-resource", MIMEType: "text/plain", Text: "Watched resource content.",
	})
	f.mcp.AddResource(
		mcp.NewResource("test://static-binary", "static-binary", mcp.WithResourceDescription("An image"), mcp.WithMIMEType("image/png")),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: onePixel}}, nil
		})
	f.mcp.AddResourceTemplate(
		mcp.NewResourceTemplate("test://template/{id}/data", "template",
			mcp.WithTemplateDescription("Data by id"), mcp.WithTemplateMIMEType("application/json")),
		readTemplate)
}

func (f *conformanceFixtures) addResource(name, description string, contents mcp.TextResourceContents) {
	f.mcp.AddResource(
		mcp.NewResource(contents.URI, name, mcp.WithResourceDescription(description), mcp.WithMIMEType(contents.MIMEType)),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{contents}, nil
		})
}

func readTemplate(_ context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
	id := strings.TrimSuffix(strings.TrimPrefix(request.Params.URI, "test://template/"), "/data")
	data, err := json.Marshal(map[string]any{"id": id, "templateTest": true, "data": "Data for ID: " + id})
	if err != nil {
		return nil, err
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{
		URI: request.Params.URI, MIMEType: "application/json", Text: string(data),
	}}, nil
}
