using System.Globalization;
using Capsules.Core.Json;

namespace Capsules.Core.Bills;

/// <summary>A bill as CycloneDX 1.6 (cyclonedx.org/docs/1.6/json): packages are libraries, files that no package owns are files.</summary>
public static class CycloneDxJson
{
    /// <summary>The document's bytes; equal bills give equal bytes.</summary>
    public static byte[] Write(SoftwareBill bill) => JsonWriting.Document(w =>
    {
        w.Text("bomFormat", "CycloneDX");
        w.Text("specVersion", "1.6");
        string hex = bill.Image.Hex; // a UUID of version 8 (RFC 9562), whose bits are the image's
        w.Text("serialNumber", $"urn:uuid:{hex[..8]}-{hex[8..12]}-8{hex[13..16]}-8{hex[17..20]}-{hex[20..32]}");
        w.WriteNumber("version", 1);
        w.WriteStartObject("metadata");
        w.Text("timestamp", bill.Created.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
        w.WriteStartObject("tools");
        w.Objects("components", [bill.Tool], tool =>
        {
            w.Text("type", "application");
            w.Text("name", "capsule");
            w.Text("version", tool);
        });
        w.WriteEndObject();
        w.WriteStartObject("component");
        w.Text("type", "application");
        w.Text("bom-ref", "capsule");
        w.Text("name", bill.Manifest.Name.ToString());
        w.Text("version", bill.Manifest.Version);
        w.WriteEndObject();
        w.WriteEndObject();
        w.WriteStartArray("components");
        foreach (BillPackage package in bill.Packages)
        {
            w.WriteStartObject();
            w.Text("type", "library");
            w.Text("bom-ref", package.Url);
            w.Text("name", package.Fact.Name);
            w.Text("version", package.Fact.Package.Version);
            w.Text("description", package.Fact.Package.Description.Length > 0 ? package.Fact.Package.Description : null);
            w.Text("purl", package.Url);
            w.WriteEndObject();
        }
        foreach (BillFile file in bill.Files)
        {
            w.WriteStartObject();
            w.Text("type", "file");
            w.Text("bom-ref", $"file:{file.Path}");
            w.Text("name", file.Path.ToString());
            w.Objects("hashes", [("SHA-1", file.Sha1), ("SHA-256", file.Sha256)], hash =>
            {
                w.Text("alg", hash.Item1);
                w.Text("content", hash.Item2);
            });
            w.WriteEndObject();
        }
        w.WriteEndArray();
        var dependencies = bill.Dependencies();
        w.WriteStartArray("dependencies");
        Depends("capsule", [.. bill.Packages.Select(p => p.Url), .. bill.Files.Select(f => $"file:{f.Path}")]);
        for (int i = 0; i < bill.Packages.Length; i++) Depends(bill.Packages[i].Url, [.. dependencies[i].Where(d => d != i).Select(d => bill.Packages[d].Url)]);
        w.WriteEndArray();

        void Depends(string from, string[] on)
        {
            w.WriteStartObject();
            w.Text("ref", from);
            w.Texts("dependsOn", on);
            w.WriteEndObject();
        }
    });
}
