using System.IO.Compression;
using Capsules.Core.Formats.Rpm;
using Shouldly;
using Xunit;

namespace Capsules.Core.Tests.Formats;

public sealed class RpmTests
{
    /// <summary>A database of 62 packages with pages of 1 KB, made by SQLite itself: an inner page, and one row that overflows; compressed by zlib.</summary>
    private const string Compressed =
        "eNrtnE9sXEcdx+f5bZwmdprmj2vnj9ONW4jd2Lvv95uZt2+bECWgIJBK1UIPIEGrtbtNrNprZ70urdQLUQ9cOHDiwgEuHODCpRxQJThw4YKQuCABEuICVL3AgUslxOzu877ve2JnhCqk18kbxeM3m42/4+9v5uOv5732Ky89vz3o1l/f6+92" +
        "BnUpaiIIxO16XQgRmo/h56M2Yz5qMA6Eu4WisRWcGl7MfCTC74Q3zKeqVa0M7VY4u7iwEHQGnc2d7gud3dFH7XNfvnvn5bv1l+989vm79eEr9dU3um/XB923Buv1+73D3fp2b9C91+2vvTgzu3j9evC10b8/eLBj9tGrB90Hh93eVnEY5r5q" +
        "4S9Xe0Zl3YzWHgTHF5eXg2/p0Zd8sbP1Rude9+Do80zui1w7evlafRWnVd/vb+92+m/Xh7PuHA72tntb/e5ut2emv7mztznuenuDeu9wZ2ftmDFiIfze0I96+FH4r/Af4YfhX8O/hH8Kfx/+LvxN+OvwV+Evwp+H74U/DX8S/ij8Yfj98dur" +
        "VrWq/f/aUzdNd6VtuuXYdJel6S5Fpru4YboLz5pu6ZrpFp8x3ZNXh/v4iunOXzLduSXTnV0w3ZmzpnvitOlOz5vu8ROmOzVruvnhj/e50c/mIPynMH+qVrWqed/mg3A5OAoPt4b7P5fqq1a1qj1KbbayoGpVe2Tb8cqCqlXtkW2PVRbk2+7e" +
        "a4c73ahxsJdeUnbJ2aXMLlV2qbPLOLtsZZdJdtkGCZQDPQJBAkUCSQJNAlECVQJZAl0GXcbvE3QZdBl0GXQZdBl0GXQZdCXoStCVaDDoStCVoCtBV4KuBF0Jugp0Fegq0FVYWdBVoKtAV4GuAl0Fuhp0Nehq0NWgq3FJga4GXQ26GnQ16Mag" +
        "G4NunOqa5X5iNAbtGLRjXM+gHYN2DNoxaLdAuwXaLfieW6DbAt0W6LZwI4FuC3RboJuAbgK6CegmoJuAbgK6CegmuINBNwHdNui2QbcNum3QbYNuG3TboNsG3TaiI8cOhEeE9IgQHxHyI0KAREiQCBESIUMihEiEM8jjC2eQA1iOYDmE5RiW" +
        "g1iOYjmMIccIQUacIyjOAFlGCDNCmhHijJBnhEAjJBoh0giZRjIHcZwBYo2Qa4RgIyQbIdoI2UYIN0K6EeKNkG9m/58khBwh5QgxR8g5QtARko4QdYSsI4QdIe1I536c4QwQeITEI0QeIfMIoUdIPYpxBsg8QuhRnPuJijNA7hGCj5B8hOgj" +
        "ZB8h/AjpR4g/Qv5RK/dDHWeACCRkICEECSlIiEFCDhKCkJCEhCikJJcrcAZIQ0IcEvKQEIiERCREIiETCaFISEVq56JNLttguEEuMnKRkYuMXGTkIiMXGbnIyEVGLjLl4hXOALnIyEVGLjJykZGLjFxk5CLn8l0u4OUT3mgGWeDlXM7LBb1c" +
        "0stFvVzWy4U9ZCMjGxnZyDIXNHEGyEZGNjKykZGNjGxkZCMjGxnZyMhGVrmsizNALjJykZGLjFxk5CIjFxm5yMhFRi6yzsVtnAFykZGLjFxk5CIjFxm5yMhFRi4ycpHjXOLHGSAXGbnIyEVGLjJykZGLjFxk5CIjF7mV+6UDZ4BcZOQiIxcZ" +
        "ucjIRUYuMnKRkYuMXOQk93sPzgC5yMhFRi4ycpGRi4xcZOQiIxcZucjt3K9eoxk0Dw/6zZ3tzVg1723t9d5sitH9/+C3wvypmgft3Y2gJr79irkylQ1eEiL8G9ziCcz47+l4Nh1/kF6fSscfDn8lNB/n0vG/07+/PB7Xzqfjp9PxYnqEdEuM" +
        "HhGtXUjHL4xvLNfm0vE7YvRIae3U+PXR06PD8dfT8Xw6/sb4/cFSOn4lHTeH4/uDwf5rghuqoVuCGt2dtujUD7r9N7t98VYSvxorMXrLxvgtG6O3NA76W43+/q74Znczfe/46zQ3t3vNg/vC7Igtsz0a8eraaqw2twdrwrzdvLr61TWx2qnv" +
        "9euba6LzMZvY/Jgtq/LQvNtjv8fj8fcz6htmY79+9A12B1vN0WVz+GpTNPuHveYYAwfDb35U9RmxJoIvms7WHi6HNfHurXSh3LEsrLCwsI4VFtZcYWGdLyysS4WF1RhLTBbW0XgOxkG2sESUjtOFJVQ6TheWSNJxurDEjeF4PxI0ZUHtRxtU" +
        "WEhZM/+uubc/aIr3lmZq4gM19ufC+//Dxpsr+HOm4M/Fgj9XC/48l46P/PlSwR8zDtZh472TjlN/ZtfTcerPyT+m49SfCz8efv17wz1iNp5UU1wavWFj+IaCV/9lc1WtLO3Y6Nl88QMx8+fgl+ZT6drD5VmvsSOnY0fasCNT7DxcPua1Pzzd" +
        "H7b5wxN/al77Q9P9IZs/lPpT/v1/wuv6xdPrF9vqF0/W92Ne+6On+6Nt/uiJP8e99kdN90fZ/FGfmP0/73X92tPr17bVrz1Z33Ne+5NM9yex+ZNM/DnptT+t6f60bP60cvv/u2LmD8HPzKcSbPiV06ZgX0gL9nlLwWqFgs0WCjZfKNhCoWCX" +
        "CwWLCgWLCgWLCgVThYIlhYLdLBTs9jiwWRIt2SLtMLRNUu3K436bZIu15DCJJiad8tsky5EVRQ6TovLu/7N+V82SaEk7qjZJtStn/DbJEmtJOUxSE5Oe8Nsky9kRSYdJsrz7f8HvqlkSLSWOqk1S7cp5v02yxFpqOUxqTUw657dJlrMjih0m" +
        "xeXd/0teV40t0ZYd0ZazaLvot0mWaMuOaMvRxKQn/d7/lrMjajv2f7u8+/+S30vbEm3ZEW05i7YX/TbJEm3ZEW15cmt05YLfJtnujTpOkpjLu/+v+F01S7RlR7TlLNou+22SJdqyI9ry5NboymW/TbKcJLHjJIl1eff/Va+rJi3RVjqircyi" +
        "bd3vpW2JtuyItjy5NbrylN8mWU6S2HGSxEl59/8zfu9/2xN/jmgrs2j7tN8mWaKtdERbmd0kXfHbJMtJknScJEkq7/6/5nfVLNFWOqKtzKLtp/02yRJtpSPayuwm6af8NslykiQdJ0lSlXf/P+t31SzRVjqircyi7ZrfJlmirXREW5ndJF31" +
        "2yTLSZJ0nCTJEj//t+F11ZQl2ipHtFVZtF332yRLtFWOaKuym6TX/TbJcpKkHCdJqsTP/0V+V80SbZUj2qos2jb9Nsn2n7U4oq3KbpI2/DbJcpKkHCdJqsTP/0m/q2aJtsoRbVUWbdlvkyzRVjmircpukpLfJllOkpTjJEmV+Pm/2OuqaUu0" +
        "1Y5oq7Noq/02yRJttSPa6uwmqfJ7/1tOkpTjJEmV+Pm/tt9L2xJttSPa6izaJn6bZIm22hFtdXaTtOW3SZaTJO04SdIlfv7vpt9Vs0Rb7Yi2Oou2N/w2yRJttSPa6uwm6XN+m2T7f6M4TpI0Pv83Y7b+aP9X7RPSHq7c8ntpW6KtdkRbnd0k" +
        "/YzfJllOkrTjJEkfnST9B0HKK8M=";

    internal static byte[] Database
    {
        get
        {
            using var unpacked = new MemoryStream();
            using (var packed = new ZLibStream(new MemoryStream(Convert.FromBase64String(Compressed)), CompressionMode.Decompress)) packed.CopyTo(unpacked);
            return unpacked.ToArray();
        }
    }

    internal static byte[] Header => SqliteTable.Rows(Database, "Packages")[0][1].ToArray();

    [Fact]
    public void A_database_made_by_sqlite_is_read_whole() => RpmDatabase.Parse(Database).Length.ShouldBe(62);

    [Fact]
    public void A_package_has_needs_provisions_files_and_configuration()
    {
        var httpd = RpmDatabase.Header(Header);
        (httpd.Name, httpd.Package.Version, httpd.Package.Source).ShouldBe(("httpd", "2.4.57-1.el9", "httpd"));
        httpd.Package.Depends.Select(d => d[0]).ShouldBe(["/bin/sh", "libc.so.6()(64bit)"]);
        httpd.Package.Provides.ShouldBe(["webserver"]);
        httpd.Files.Select(f => f.ToString()).ShouldBe(["/usr/sbin/httpd", "/etc/httpd/conf/httpd.conf"]);
        httpd.Package.Conffiles.ShouldHaveSingleItem().Path.ToString().ShouldBe("/etc/httpd/conf/httpd.conf");
    }

    [Fact]
    public void A_row_that_overflows_its_page_is_put_together() => RpmDatabase.Parse(Database).Single(p => p.Name == "glibc").Files.Length.ShouldBe(300);

    [Fact]
    public void A_table_that_is_not_there_is_said() => Should.Throw<FormatException>(() => SqliteTable.Rows(Database, "Nothing")).Message.ShouldContain("Nothing");
}
