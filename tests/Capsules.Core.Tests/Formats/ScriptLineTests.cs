using System.Text;
using Capsules.Core.Formats;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Formats;

public sealed class ScriptLineTests
{
    [Theory]
    [InlineData("#!/bin/sh\necho", "/bin/sh", null)]
    [InlineData("#! /usr/bin/perl -w\n", "/usr/bin/perl", null)]
    [InlineData("#!/usr/bin/env python3\n", "python3", "/usr/bin/env")]
    [InlineData("#!/usr/bin/env -S LANG=C ruby -w", "ruby", "/usr/bin/env")]
    [InlineData("#!/usr/bin/env\n", "/usr/bin/env", null)]
    public void The_program_behind_the_signs_is_read(string text, string program, string? through) => ScriptLine.Of(Encoding.UTF8.GetBytes(text)).ShouldBe(new ScriptLine(program, through));

    [Theory]
    [InlineData("")]
    [InlineData("#!")]
    [InlineData("#!\nx")]
    [InlineData("# !/bin/sh")]
    public void What_is_no_script_has_none(string text) => ScriptLine.Of(Encoding.UTF8.GetBytes(text)).ShouldBeNull();
}
