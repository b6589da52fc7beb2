using System.Globalization;
using System.Text.Json;
using Capsules.Core.Json;

namespace Capsules.Core.Bills;

/// <summary>A bill as SPDX 2.3 (spdx.github.io/spdx-spec/v2.3): the capsule contains packages, and files of its own.</summary>
public static class SpdxJson
{
    private const string Unknown = "NOASSERTION";

    /// <summary>The document's bytes; equal bills give equal bytes.</summary>
    public static byte[] Write(SoftwareBill bill) => JsonWriting.Document(w =>
    {
        w.Text("spdxVersion", "SPDX-2.3");
        w.Text("dataLicense", "CC0-1.0");
        w.Text("SPDXID", "SPDXRef-DOCUMENT");
        w.Text("name", $"capsule {bill.Manifest.Name}");
        w.Text("documentNamespace", $"urn:capsule:{bill.Image}");
        w.WriteStartObject("creationInfo");
        w.Text("created", bill.Created.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
        w.Texts("creators", [$"Tool: capsule-{bill.Tool}"]);
        w.WriteEndObject();
        w.WriteStartArray("packages");
        Package(w, "SPDXRef-capsule", bill.Manifest.Name.ToString(), bill.Manifest.Version, null, "APPLICATION");
        for (int i = 0; i < bill.Packages.Length; i++) Package(w, $"SPDXRef-package-{i}", bill.Packages[i].Fact.Name, bill.Packages[i].Fact.Package.Version, bill.Packages[i].Url, null);
        w.WriteEndArray();
        int number = 0;
        w.Objects("files", bill.Files, f =>
        {
            w.Text("SPDXID", $"SPDXRef-file-{number++}");
            w.Text("fileName", "." + f.Path);
            w.WriteStartArray("checksums");
            foreach (var (algorithm, value) in (ReadOnlySpan<(string, string)>)[("SHA1", f.Sha1), ("SHA256", f.Sha256)])
            {
                w.WriteStartObject();
                w.Text("algorithm", algorithm);
                w.Text("checksumValue", value);
                w.WriteEndObject();
            }
            w.WriteEndArray();
            if (f.IsExecutable) w.Texts("fileTypes", ["APPLICATION"]);
            w.Text("licenseConcluded", Unknown);
            w.Text("copyrightText", Unknown);
        });
        w.WriteStartArray("relationships");
        Relate("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-capsule");
        var dependencies = bill.Dependencies();
        for (int i = 0; i < bill.Packages.Length; i++)
        {
            Relate("SPDXRef-capsule", "CONTAINS", $"SPDXRef-package-{i}");
            foreach (int needed in dependencies[i]) Relate($"SPDXRef-package-{i}", "DEPENDS_ON", $"SPDXRef-package-{needed}");
        }
        for (int i = 0; i < bill.Files.Length; i++) Relate("SPDXRef-capsule", "CONTAINS", $"SPDXRef-file-{i}");
        w.WriteEndArray();

        void Relate(string from, string how, string to)
        {
            w.WriteStartObject();
            w.Text("spdxElementId", from);
            w.Text("relationshipType", how);
            w.Text("relatedSpdxElement", to);
            w.WriteEndObject();
        }
    });

    private static void Package(Utf8JsonWriter w, string id, string name, string? version, string? url, string? purpose)
    {
        w.WriteStartObject();
        w.Text("SPDXID", id);
        w.Text("name", name);
        w.Text("versionInfo", version);
        w.Text("downloadLocation", Unknown);
        w.WriteBoolean("filesAnalyzed", false);
        w.Text("licenseConcluded", Unknown);
        w.Text("licenseDeclared", Unknown);
        w.Text("copyrightText", Unknown);
        w.Text("primaryPackagePurpose", purpose);
        if (url is not null)
        {
            w.WriteStartArray("externalRefs");
            w.WriteStartObject();
            w.Text("referenceCategory", "PACKAGE-MANAGER");
            w.Text("referenceType", "purl");
            w.Text("referenceLocator", url);
            w.WriteEndObject();
            w.WriteEndArray();
        }
        w.WriteEndObject();
    }
}
