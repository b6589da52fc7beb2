using Capsules.Core.Model;
using Capsules.Linux;
using Capsules.Linux.Files;

namespace Capsules.Engine.Store;

/// <summary>Directories that are named by capsules or stacks.</summary>
internal static class DirectoryNames
{
    /// <summary>The names in a directory that can be such names; none when it is not there.</summary>
    public static IEnumerable<CapsuleName> In(string directory)
    {
        var (opened, _) = FileCalls.TryOpenAt(null, directory, OpenFlags.ReadOnly | OpenFlags.Directory);
        if (opened is null) return [];
        using (opened)
        {
            var names = new List<CapsuleName>();
            foreach (var (name, _) in FileCalls.List(opened))
                if (CapsuleName.TryParse(System.Text.Encoding.UTF8.GetString(name), out CapsuleName parsed)) names.Add(parsed);
            return names;
        }
    }
}
