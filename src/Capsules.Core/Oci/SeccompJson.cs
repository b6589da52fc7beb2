using System.Text.Json;
using Capsules.Core.Json;

namespace Capsules.Core.Oci;

/// <summary>linux.seccomp of config.json, and the further filters of a service in a manifest.</summary>
public static class SeccompJson
{
    /// <summary>Reads a filter.</summary>
    /// <exception cref="FormatException">A member is missing or of another kind.</exception>
    public static SeccompSpec Read(JsonElement e) => new(
        e.RequiredText("defaultAction"), e.SmallInteger("defaultErrnoRet"), e.Texts("architectures"), e.Texts("flags"),
        [.. e.Items("syscalls").Select(s => new SeccompCall(s.Texts("names"), s.RequiredText("action"), s.SmallInteger("errnoRet"),
            [.. s.Items("args").Select(a => new SeccompArgument(a.SmallInteger("index") ?? 0, a.Unsigned("value") ?? 0, a.Unsigned("valueTwo") ?? 0, a.RequiredText("op")))]))]);

    /// <summary>The members of a filter.</summary>
    public static void Write(Utf8JsonWriter w, SeccompSpec filter)
    {
        w.Text("defaultAction", filter.DefaultAction);
        w.Integer("defaultErrnoRet", filter.DefaultErrno);
        w.Texts("architectures", filter.Architectures);
        w.Texts("flags", filter.Flags);
        w.Objects("syscalls", filter.Calls, call =>
        {
            w.Texts("names", call.Names);
            w.Text("action", call.Action);
            w.Integer("errnoRet", call.Errno);
            w.Objects("args", call.Arguments, a =>
            {
                w.WriteNumber("index", a.Index);
                w.WriteNumber("value", a.Value);
                if (a.ValueTwo != 0) w.WriteNumber("valueTwo", a.ValueTwo);
                w.Text("op", a.Operator);
            });
        });
    }
}
