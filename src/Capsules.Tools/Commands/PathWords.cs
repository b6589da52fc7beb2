using Capsules.Core.Model;
using Capsules.Core.Problems;

namespace Capsules.Tools.Commands;

/// <summary>Words of the command line that mean paths.</summary>
internal static class PathWords
{
    /// <summary>The value of an option: a path inside a capsule.</summary>
    public static GuestPath Inside(string what, string word)
    {
        try { return GuestPath.Normalize(BytePicture.FromPicture(word)); }
        catch (FormatException e) { throw new CapsuleException(Problems.BadValue(what, word, "an absolute path inside the capsule"), e); }
    }

    /// <summary>The path of which a verb tells.</summary>
    public static GuestPath Asked(string word, string usage)
    {
        try { return GuestPath.Normalize(BytePicture.FromPicture(word)); }
        catch (FormatException e) { throw new CapsuleException(Problems.WrongUsage(FactText.Of(e), usage), e); }
    }
}
