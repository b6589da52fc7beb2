using System.Globalization;
using System.Text;

namespace Capsules.Linux.Namespaces;

/// <summary>One extent of a user namespace's map (user_namespaces(7)): <paramref name="Count"/> ids from <paramref name="Inside"/> are the parent's from <paramref name="Outside"/>.</summary>
public readonly record struct IdExtent(uint Inside, uint Outside, uint Count);

/// <summary>The maps of a user namespace.</summary>
public static class IdMaps
{
    /// <summary>As /proc/PID/uid_map wants it.</summary>
    public static string ToText(IEnumerable<IdExtent> extents)
    {
        var text = new StringBuilder();
        foreach (IdExtent e in extents) text.Append(CultureInfo.InvariantCulture, $"{e.Inside} {e.Outside} {e.Count}\n");
        return text.ToString();
    }

    /// <summary>Reads what /proc/PID/uid_map shows.</summary>
    public static List<IdExtent> Parse(string text)
    {
        var extents = new List<IdExtent>();
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] numbers = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            extents.Add(new(uint.Parse(numbers[0]), uint.Parse(numbers[1]), uint.Parse(numbers[2])));
        }
        return extents;
    }

    /// <summary>The id inside of one of the parent's; null when nothing maps it.</summary>
    public static uint? Inside(this IEnumerable<IdExtent> extents, uint outside)
    {
        foreach (IdExtent e in extents)
            if (outside >= e.Outside && outside - e.Outside < e.Count) return e.Inside + (outside - e.Outside);
        return null;
    }

    /// <summary>The parent's id of an id inside; null when nothing maps it.</summary>
    public static uint? Outside(this IEnumerable<IdExtent> extents, uint inside)
    {
        foreach (IdExtent e in extents)
            if (inside >= e.Inside && inside - e.Inside < e.Count) return e.Outside + (inside - e.Inside);
        return null;
    }
}
