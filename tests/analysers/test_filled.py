"""What is put into a text is harmless where it is a constant, a number or a placeholder."""

import pytest

from app.analysers.filled import is_harmless


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("db.execute(f'SELECT a FROM {TABLE} WHERE id = ?', (x,))", ""),
        ("db.execute(f'SELECT a FROM {self.TABLE_2} WHERE id = ?', (x,))", ""),
        ("db.query('SELECT a FROM ' + TABLE + ' WHERE id = ?')", ""),
        ("db.execute(f'... IN ({marks})', ids)", "marks = ', '.join('?' * len(ids))\n"),
        ("db.execute(f'... IN ({placeholders})', ids)", ""),
        ("db.execute(f\"... IN ({','.join('?' * len(ids))})\", ids)", ""),
        ("db.execute(f\"... IN ({','.join(['%s'] * len(ids))})\", ids)", ""),
        ("db.execute('... IN (%s)' % ','.join('?' * len(ids)), ids)", ""),
        ("db.execute('... IN ({})'.format(marks), ids)", "marks = ', '.join(['%s'] * n)\n"),
        ("db.execute('SELECT a FROM %s WHERE id = ?' % TABLE, (x,))", ""),
        ('db.Query("IN (?"+strings.Repeat(",?", len(ids)-1)+")", ids...)', ""),
        ("db.query(`... IN (${ids.map(() => '?').join(',')})`, ids)", ""),
        ("db.query(`... IN (${ids.map((_, i) => `$${i + 1}`).join()})`, ids)", ""),
        ('db.Query("... IN ("+placeholders(len(ids))+")", ids...)', ""),
        ('c.prepare("IN (" + String.join(",", nCopies(ids.size(), "?")) + ")");', ""),
        ('db.Query("SELECT "+cols+" FROM t")', 'const cols = "a, b"\n'),
        ('db.Query("SELECT "+cols+" FROM t")', 'const cols string = "a, b" // all\n'),
        ("db.query(`SELECT a FROM ${table}`)", "const table: string = 'users';\n"),
        ("el.innerHTML = `<b>${items.length}</b>`;", ""),
        ("el.innerHTML = `<b>${n}</b>`;", "const n = items.length;\n"),
        ("el.innerHTML = '<b>' + Number(n) + '</b>';", ""),
        ("el.innerHTML = `<b>${price.toFixed(2)}</b>`;", ""),
        ("db.execute('SELECT a FROM t WHERE ' + ' AND '.join(wanted), values)", ""),
        (
            "db.query(`IN (${marks})`, ids)",
            "marks = ids.map((_, i) => `$${i + 1}`).join();\n",
        ),
    ],
)
def test_constants_numbers_and_placeholders_are_harmless(code: str, module: str) -> None:
    assert is_harmless(code, f"{module}{code}\n")


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("db.execute(f'SELECT a FROM t WHERE id = {x}')", ""),
        ("db.execute(f'SELECT a FROM {TABLE} WHERE id = {x}')", ""),
        ("db.execute(f'... IN ({ids})')", "ids = ', '.join(names)\n"),
        ("db.execute(f'... IN ({ids})')", "ids = '1'\nids = request.args['ids']\n"),
        ("db.execute(f'... IN ({ids})')", "ids = f'{x}'\n"),
        ("db.execute('SELECT a FROM %s' % table)", ""),
        ("db.execute('SELECT a FROM %s WHERE id = %s' % (TABLE, x))", ""),
        ("db.execute('SELECT a FROM {} WHERE id = {}'.format(TABLE, x))", ""),
        ("db.execute('... IN (%s)' % ','.join(ids))", ""),
        ("db.execute('SELECT a FROM t WHERE ' + ' AND '.join(wanted) + order)", ""),
        ("db.execute('SELECT a FROM t WHERE id = ' + A_PREFIX + x)", ""),
        ("db.execute('SELECT a FROM {}'.format(x))", ""),
        ('db.Query(fmt.Sprintf("SELECT a FROM t WHERE id = %s", ID))', ""),
        ('db.Query("SELECT a FROM t WHERE id = " + id)', ""),
        ('db.Query("SELECT a FROM t WHERE n = \'" + n + "\'")', ""),
        ('db.Query("SELECT a FROM " + TABLE + " WHERE id = " + id)', ""),
        ("el.innerHTML = `<b>${n.length}${name}</b>`;", ""),
        ("db.execute('SELECT 1')", ""),
        ("db.execute(query)", ""),
        ("x(f'{A}" + "{AB}" * 30 + "')", ""),
    ],
)
def test_anything_else_may_do_harm(code: str, module: str) -> None:
    assert not is_harmless(code, f"{module}{code}\n")
