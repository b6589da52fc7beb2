using System.Text;
using Capsules.Core.Bills;
using Capsules.Core.Problems;
using Capsules.Engine.Doors;
using Capsules.Engine.Images;
using Capsules.Engine.Store;

namespace Capsules.Tools.Commands;

/// <summary>`capsule sbom`: what is in a capsule, for scanners.</summary>
public static class SbomCommand
{
    /// <summary>Runs it; the exit code.</summary>
    /// <param name="capsule">Which one.</param>
    /// <param name="format">spdx or cyclonedx; null is spdx.</param>
    /// <param name="file">Where to; null or "-" is standard output.</param>
    /// <param name="store">Capsules and images.</param>
    /// <param name="output">Where to speak.</param>
    public static int Run(string capsule, string? format, string? file, CapsuleStore store, CommandOutput output)
    {
        Func<SoftwareBill, byte[]> write = format switch
        {
            null or "spdx" => SpdxJson.Write,
            "cyclonedx" => CycloneDxJson.Write,
            _ => throw new CapsuleException(Problems.WrongUsage($"`{format}` is no format of a bill of materials; there are: spdx, cyclonedx", "capsule sbom CAPSULE --format FORMAT")),
        };
        SoftwareBill bill = BillReader.Read(store, store.Get(capsule), typeof(SbomCommand).Assembly.GetName().Version?.ToString(3) ?? "0");
        byte[] document = write(bill);
        if (file is null or "-") output.Data.Write(Encoding.UTF8.GetString(document));
        else ExportCommand.ToFile(Path.GetFullPath(file), stream => { stream.Write(document); return 0; });
        output.Words.WriteLine($"{bill.Packages.Length} packages, {bill.Files.Length} files of no package.");
        return 0;
    }
}
