using Capsules.Core.Facts;
using Capsules.Core.Model;
using CsCheck;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Capture.Opening;

public sealed class SshAddressTests
{
    [Theory]
    [InlineData("ssh://old", null, "old", null, null)]
    [InlineData("ssh://root@old.example.net:2222/", "root", "old.example.net", 2222, "/")]
    [InlineData("ssh://_backup-1@10.20.0.15/mnt/disk", "_backup-1", "10.20.0.15", null, "/mnt/disk")]
    [InlineData("ssh://root@[2001:db8::1]:22/srv/tree/", "root", "2001:db8::1", 22, "/srv/tree")]
    [InlineData("ssh://old/a%20b%0a%ff", null, "old", null, "/a b\\x0A\\xFF")]
    public void An_address_has_a_machine_and_perhaps_a_directory(string text, string? user, string host, int? port, string? directory)
    {
        SshAddress address = SshAddress.Parse(text);
        (address.User, address.Host, address.Port, address.Directory).ShouldBe((user, host, port, directory is null ? null : GuestPath.Parse(directory)));
        SshAddress.Parse(address.ToString()).ShouldBe(address);
        SourceReference.Parse(text).ShouldBe(new(SourceKind.Ssh, address.ToString()));
    }

    [Theory]
    [InlineData("old")]
    [InlineData("http://old")]
    [InlineData("ssh://")]
    [InlineData("ssh:///dir")]
    [InlineData("ssh://-oProxyCommand=id")]
    [InlineData("ssh://-oProxyCommand=id@old")]
    [InlineData("ssh://-l@old")]
    [InlineData("ssh://root@-oProxyCommand=id")]
    [InlineData("ssh://.old")]
    [InlineData("ssh://root:secret@old")]
    [InlineData("ssh://a@b@old")]
    [InlineData("ssh://old;id")]
    [InlineData("ssh://old id")]
    [InlineData("ssh://old\nid")]
    [InlineData("ssh://$(id)")]
    [InlineData("ssh://%68ost")]
    [InlineData("ssh://hóst")]
    [InlineData("ssh://[::1")]
    [InlineData("ssh://[::1]x")]
    [InlineData("ssh://[-oX]")]
    [InlineData("ssh://old:")]
    [InlineData("ssh://old:0")]
    [InlineData("ssh://old:65536")]
    [InlineData("ssh://old:-1")]
    [InlineData("ssh://old: 22")]
    [InlineData("ssh://old/a/../b")]
    [InlineData("ssh://old//a")]
    [InlineData("ssh://old/a?b")]
    [InlineData("ssh://old/a#b")]
    [InlineData("ssh://old/a b")]
    [InlineData("ssh://old/a%00")]
    [InlineData("ssh://old/a%2")]
    [InlineData("ssh://old/a%2fb%zz")]
    [InlineData("ssh://old/%2e%2e/etc")]
    public void What_a_command_line_could_take_for_something_else_is_refused(string text)
    {
        Should.Throw<FormatException>(() => SshAddress.Parse(text)).Message.ShouldContain("ssh://[USER@]HOST");
        if (text.StartsWith("ssh:", StringComparison.Ordinal)) Should.Throw<FormatException>(() => SourceReference.Parse(text));
    }

    [Fact]
    public void Any_text_is_an_address_or_a_format_error_and_no_word_of_it_begins_with_a_dash() => Gen.String[Gen.Char["ssh:/@[]%.-_09azé ;\n$"], 0, 24].Sample(rest =>
    {
        SshAddress address;
        try { address = SshAddress.Parse("ssh://" + rest); }
        catch (FormatException) { return; }
        foreach (string word in (string[])[address.User ?? "x", address.Host]) (word.Length > 0 && word[0] != '-' && word.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' or ':')).ShouldBeTrue(word);
        SshAddress.Parse(address.ToString()).ShouldBe(address);
    });

    [Fact]
    public void Without_a_directory_it_is_the_one_that_was_captured()
    {
        string Of(string address, string captured) => SshAddress.Parse(address).ReferenceFor(SourceReference.Parse(captured)).ToString();
        Of("ssh://old", "live").ShouldBe("ssh://old/");
        Of("ssh://old", "root:/mnt/disk/").ShouldBe("ssh://old/mnt/disk");
        Of("ssh://old/", "root:/mnt/disk").ShouldBe("ssh://old/");
        Of("ssh://new", "ssh://root@old:22/srv").ShouldBe("ssh://new/srv");
    }
}
