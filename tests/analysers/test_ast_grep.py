"""Our own rules: each finds what it is for, and is silent beside it."""

import pytest

from app.analysers.ast_grep import RULES, build_tool, load_rules
from app.ports import Found
from app.review.focus import Area
from app.review.priority import Priority
from tests.analysers.children import Planted, analyse, told

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HITS = {
    "js-shell-from-string": [
        "import { exec } from 'node:child_process';\nexec(`ls ${dir}`);",
        "require('child_process').exec(`ls ${dir}`);",
        'child_process.execSync("rm " + name);',
        "import { spawn } from 'child_process';\nspawn(`ls ${dir}`, { shell: true });",
        "import { spawn } from 'child_process';\nspawn('ls', [dir], { cwd: x, shell: '/bin/sh' });",
    ],
    "js-sql-from-string": [
        "db.query(`SELECT * FROM t WHERE id = ${id}`);",
        'db.query("SELECT * FROM t WHERE id = " + req.id);',
        "db.execute(`\n  update t\n  set a = ${a}`);",
    ],
    "js-tls-off": [
        "https.get({ rejectUnauthorized: false });",
        "options.rejectUnauthorized = false;",
        'process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";',
        'process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = 0;',
    ],
    "js-deserialisation": ["serialize.unserialize(text);"],
    "js-inner-html": [
        "el.innerHTML = `<b>${name}</b>`;",
        'el.innerHTML = "<b>" + user.name;',
        'el.outerHTML += "<b>" + name;',
        'document.write("<b>" + name);',
        'el.insertAdjacentHTML("beforeend", `<b>${name}</b>`);',
    ],
    "js-html-value": [
        "el.innerHTML = message;",
        "el.outerHTML = user.name;",
        "async () => { el.innerHTML = await answer.text(); };",
    ],
    "js-html-in-jsx": [
        "const a = <p dangerouslySetInnerHTML={{ __html: html }} />;",
        "const a = <p dangerouslySetInnerHTML={{ __html: post.body }} />;",
    ],
    "go-shell-from-string": [
        'exec.Command("sh", "-c", "ls "+dir)',
        'exec.CommandContext(ctx, "/bin/bash", "-c", fmt.Sprintf("ls %s", dir)).Run()',
    ],
    "go-sql-from-string": [
        'db.Query("SELECT * FROM t WHERE id = " + id)',
        "db.QueryRowContext(ctx, fmt.Sprintf(\"SELECT a FROM t WHERE id = '%s'\", id))",
    ],
    "go-tls-off": [
        "c := &tls.Config{InsecureSkipVerify: true}",
        "c.InsecureSkipVerify = true",
        "c := ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()}",
    ],
    "go-html-from-string": [
        'x := template.HTML("<b>" + name)',
        'x := template.HTML(fmt.Sprintf("<b>%s", name))',
    ],
    "go-error-ignored": ["data, _ := os.ReadFile(path)", "n, _ = strconv.Atoi(text)"],
    "go-decode-error-ignored": ["json.Unmarshal(b, &v)", "_ = json.Unmarshal(b, &v)"],
    "java-shell-from-string": [
        'Runtime.getRuntime().exec("ls " + dir);',
        'new ProcessBuilder("sh", "-c", "ls " + dir);',
    ],
    "java-sql-from-string": [
        'stmt.executeQuery("SELECT * FROM t WHERE id = " + id);',
        "stmt.executeUpdate(String.format(\"DELETE FROM t WHERE id = '%s'\", id));",
    ],
    "java-tls-off": [
        "c.setHostnameVerifier((h, s) -> true);",
        "c.setHostnameVerifier(NoopHostnameVerifier.INSTANCE);",
        "new X509TrustManager() { public void checkServerTrusted(X[] c, String s) {} };",
        "new X509TrustManager() { public void checkServerTrusted(X[] c, String s) { /* */ } };",
    ],
    "java-deserialisation": ["new ObjectInputStream(in).readObject();"],
    "java-error-ignored": ["try { g(); } catch (Exception e) { }"],
    "java-string-identity": ['if (a == "x") { }', 'if ("x" != a) { }'],
}
SILENT = {
    "js": [
        'exec("ls -l");',
        "pattern.exec(`a${b}`);",
        "execFile('ls', [dir]);",
        "db.query(sql`SELECT * FROM t WHERE id = ${id}`);",
        'db.query("SELECT * FROM t WHERE id = ?", [id]);',
        "log.query(`Deleted from ${place}`);",
        "https.get({ rejectUnauthorized: !insecure });",
        'el.innerHTML = "";',
        'el.innerHTML = "<b>" + "x";',
        "el.innerHTML = `<b>${escapeHtml(name)}</b>`;",
        "el.innerHTML = DOMPurify.sanitize(text);",
        "el.innerHTML = other.innerHTML;",
        "el.innerHTML = ICON;",
        "el.innerHTML = svg;",
        "x = el.innerHTML;",
        "spawn('ls', [dir]);",
        "spawn('ls -l', { shell: true });",
        "spawn(`ls ${dir}`, { shell: false });",
        "el.textContent = `<b>${name}</b>`;",
        "JSON.parse(text);",
    ],
    "go": [
        'exec.Command("ls", dir)',
        'exec.Command("sh", "-c", script)',
        'db.Query("SELECT a FROM t WHERE id = ?", id)',
        'db.Query(fmt.Sprintf("SELECT a FROM %s", table))',
        "c := &tls.Config{InsecureSkipVerify: options.Insecure}",
        "x := template.HTML(safe)",
        "_, _ = io.Copy(a, b)",
        "v, _ := m.Load(key)",
        "err := json.Unmarshal(b, &v)",
    ],
    "java": [
        'Runtime.getRuntime().exec(new String[]{"ls", dir});',
        'new ProcessBuilder("ls", dir);',
        'stmt.executeQuery("SELECT * FROM t WHERE id = " + TABLE);',
        'stmt.executeQuery("SELECT * FROM t " + "WHERE id = ?");',
        "c.setHostnameVerifier((h, s) -> check(h));",
        "new X509TrustManager() { public void checkServerTrusted(X[] c, String s) { k(c); } };",
        "try { g(); } catch (Exception ignored) { }",
        "try { g(); } catch (IOException e) { }",
        "try { g(); } catch (Exception e) { log(e); }",
        'if ("x".equals(a)) { }',
    ],
}


def file_of(language: str, code: str) -> str:
    match language:
        case "go":
            return f"package a\n\nfunc f() {{\n\t{code}\n}}\n"
        case "java":
            return f"class A {{\n  void f() {{\n    {code}\n  }}\n}}\n"
        case _:
            return f"\n\n{code}\n"


def suffixes_of(rule: str) -> tuple[str, ...]:
    if rule.endswith("jsx"):
        return ("js", "jsx", "tsx")
    return ("js", "ts", "tsx") if rule.startswith("js") else (rule.split("-")[0],)


def cases() -> list[tuple[str, str, str]]:
    return [
        (rule, suffix, code)
        for rule, codes in HITS.items()
        for code in codes
        for suffix in suffixes_of(rule)
    ]


@pytest.mark.parametrize(("rule", "suffix", "code"), cases())
async def test_a_rule_finds_what_it_is_for(rule: str, suffix: str, code: str) -> None:
    found = await analyse(build_tool(), {f"src/a.{suffix}": file_of(suffix, code)})

    assert {c.rule for c in found.candidates} == {rule}


@pytest.mark.parametrize(
    ("suffix", "code"),
    [
        (suffix, code)
        for language, codes in SILENT.items()
        for suffix in ((language, "ts") if language == "js" else (language,))
        for code in codes
    ],
)
async def test_what_only_looks_alike_is_left_alone(suffix: str, code: str) -> None:
    found = await analyse(build_tool(), {f"src/a.{suffix}": file_of(suffix, code)})

    assert found == Found(finder="ast-grep")


@pytest.mark.parametrize(
    "value", ["JSON.stringify(data)", "DOMPurify.sanitize(html)", "'<b>'", "CSS", "safeHtml"]
)
async def test_in_jsx_what_is_made_harmless_is_left_alone(value: str) -> None:
    code = f"const a = <p dangerouslySetInnerHTML={{{{ __html: {value} }}}} />;\n"

    assert await analyse(build_tool(), {"a.jsx": code}) == Found(finder="ast-grep")


async def test_a_finding_says_what_the_rule_says() -> None:
    found = await analyse(build_tool(), {"a.go": file_of("go", "c.InsecureSkipVerify = true")})

    (only,) = found.candidates
    assert (only.area, only.priority, only.confidence) == (Area.SECURITY, Priority.P1, 0.9)
    assert only.title == "Certificates are not checked"
    assert only.body == "Anyone on the way can read and change the traffic."
    assert only.trigger == "Somebody sits between the two ends."
    assert only.location.line == 4


def test_every_rule_is_tried_and_every_trial_has_its_rule() -> None:
    _, rules = load_rules(RULES)

    assert set(rules) == set(HITS)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("a.js", "exec(`job-${name}`);"),
        ("a.js", "el.innerHTML = `<b>${items.length}</b>`;"),
        ("a.js", "el.innerHTML = `<b>${escapeHtml(name)}</b> ${price.toFixed(2)}`;"),
        ("a.js", "const text = DOMPurify.sanitize(x);\nel.innerHTML = text;"),
        ("a.js", "const hint = '<b></b>';\nel.innerHTML = hint;"),
        ("a.tsx", "const css = 'a: b';\nx = <style dangerouslySetInnerHTML={{ __html: css }} />;"),
        ("a.ts", "db.query(`SELECT a FROM ${TABLE} WHERE id = $1`, [id]);"),
        ("a.js", "db.query(`SELECT a FROM t WHERE id IN (${ids.map(() => '?').join()})`, ids);"),
        ("a.go", 'db.Query("SELECT a FROM t WHERE id IN ("+placeholders(len(ids))+")", ids...)'),
        ("a.go", 'cols := "a"\n\tdb.Query("SELECT "+cols+" FROM t WHERE id = $1", id)'),
        ("a.go", 'b, _ := json.Marshal(map[string]string{"a": "b"})'),
        ("a.go", "b, _ := json.Marshal(Answer{OK: true})"),
        ("a.go", "m := re.FindStringSubmatch(s)\n\tn, _ := strconv.Atoi(m[1])"),
        ("a.java", 'c.prepareStatement("SELECT a FROM t WHERE b IN (" + placeholders(n) + ")");'),
    ],
)
async def test_what_is_likely_harmless_is_a_nit(path: str, code: str) -> None:
    found = await analyse(build_tool(), {path: file_of(path.partition(".")[2], code)})

    assert [c.priority for c in found.candidates] == [Priority.P3]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("a.js", "el.innerHTML = `<b>${escapeHtml(name)}</b> ${text}`;"),
        ("a.go", "b, _ := json.Marshal(value)"),
        ("a.go", "n, _ := strconv.Atoi(m[1])"),
        ("a.go", "m := strings.Split(s, x)\n\tn, _ := strconv.Atoi(m[1])"),
    ],
)
async def test_what_only_looks_harmless_is_no_nit(path: str, code: str) -> None:
    found = await analyse(build_tool(), {path: file_of(path.partition(".")[2], code)})

    assert [c.priority for c in found.candidates] == [Priority.P2]


@pytest.mark.parametrize("comment", ["// ast-grep-ignore", "// ast-grep-ignore: go-tls-off"])
async def test_a_comment_silences_nothing(comment: str) -> None:
    code = file_of("go", f"{comment}\n\tc.InsecureSkipVerify = true")

    assert told(await analyse(build_tool(), {"a.go": code})) == [("go-tls-off", "a.go", 5)]


async def test_in_tests_nothing_is_said() -> None:
    code = file_of("go", "c.InsecureSkipVerify = true")

    assert await analyse(build_tool(), {"a_test.go": code}) == Found(finder="ast-grep")


async def test_only_added_lines_are_spoken_of() -> None:
    before = file_of("js", HITS["js-tls-off"][0])

    found = await analyse(build_tool(), {"a.js": before + "x();\n"}, before={"a.js": before})

    assert found.candidates == ()


@pytest.mark.parametrize(
    "configuration",
    [
        {"sgconfig.yml": "ruleDirs: [rules]\ncustomLanguages: {js: {libraryPath: x.so}}\n"},
        {"sgconfig.yml": "[", ".gitignore": "*\n", ".ignore": "*\n"},
    ],
)
async def test_configuration_in_the_change_changes_nothing(configuration: dict[str, str]) -> None:
    code = file_of("js", HITS["js-tls-off"][0])

    found = await analyse(build_tool(), {"a.js": code}, child=Planted(configuration))

    assert told(found) == [("js-tls-off", "a.js", 3)]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("a.js", True), ("a.cts", True), ("a.go", True), ("a.java", True), ("a.py", False)],
)
def test_only_languages_with_rules_are_wanted(path: str, wanted: bool) -> None:
    assert build_tool().wants(path) is wanted
