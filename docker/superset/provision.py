"""Bring Superset to the state that this folder describes: its tables, two accounts, dashboards and their connection.

    SUPERSET_MYSQL_URL=... SUPERSET_ADMIN_PASSWORD=... SUPERSET_VIEWER_PASSWORD=... SUPERSET_NOTE=... \\
        python provision.py

Superset's own Python runs it, as often as one likes, also beside a Superset that serves: what is there is replaced, the
connection and the passwords, too. SUPERSET_NOTE, Markdown, is what the dashboards say of where their data comes from.
Each step is a line on standard output.
"""

import os
from pathlib import Path

import yaml
from flask_migrate import upgrade
from superset.app import create_app

ASSETS = Path(__file__).parent / "assets"
WINDOWS = Path(__file__).parent / "windows.sql"  # of a table of windows those that do not overlap: they may be added up


def main() -> None:
    """Take all steps."""
    tables = Path(os.environ["SUPERSET_HOME"]) / "tables"  # there once they are whole: a half of them is in the way
    if not tables.exists():
        tables.with_name("superset.db").unlink(missing_ok=True)
    app = create_app()
    with app.app_context():
        step("Superset's own tables")
        upgrade()
        tables.touch()
        step("permissions and roles")
        _sync_roles()
        step("accounts admin and viewer")
        for name, role in (("admin", "Admin"), ("viewer", "Viewer")):
            _account(name, role, os.environ[f"SUPERSET_{name.upper()}_PASSWORD"])
        step("dashboards Market and Social")
        _import(contents(os.environ["SUPERSET_MYSQL_URL"], os.environ["SUPERSET_NOTE"]))
        _let_look()


def step(text: str) -> None:
    """Tell that a step begins."""
    print(f"superset: {text}", flush=True)


def contents(url: str, note: str) -> dict[str, str]:
    """Return the files of assets by name, whole, the connection leading to `url`, `note` on each dashboard."""
    files = {path.relative_to(ASSETS).as_posix(): yaml.safe_load(path.read_text()) for path in ASSETS.rglob("*.yaml")}
    for name, config in files.items():
        if name.startswith("databases/"):
            config["sqlalchemy_uri"] = url
        if config.get("sql") == WINDOWS.name:
            config["sql"] = WINDOWS.read_text().replace("<table>", config["table_name"])
        if name.startswith("dashboards/"):
            config["position"]["MARKDOWN-note"]["meta"]["code"] += f"\n\n{note}"
    return {name: yaml.safe_dump(config) for name, config in files.items()}


def _sync_roles() -> None:
    from superset import appbuilder, db, security_manager

    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    security_manager.add_role("Viewer")
    db.session.commit()


def _let_look() -> None:
    """Let viewers do what Superset lets anonymous guests do, with what the imported connection leads to."""
    from superset import db, security_manager
    from superset.models.core import Database

    database = db.session.query(Database).filter_by(database_name="millrace").one()
    access = security_manager.add_permission_view_menu("database_access", database.perm)
    guests = {*security_manager.PUBLIC_ROLE_PERMISSIONS, ("can_log", "Superset"), ("menu_access", "Dashboards")}
    known = filter(None, (security_manager.find_permission_view_menu(*each) for each in guests))
    security_manager.find_role("Viewer").permissions = [access, *known]
    db.session.commit()


def _account(name: str, role: str, password: str) -> None:
    from superset import security_manager

    known = security_manager.find_user(name) or security_manager.add_user(
        name, name, "millrace", f"{name}@localhost", security_manager.find_role(role), password
    )
    security_manager.reset_password(known.id, password)


def _import(files: dict[str, str]) -> None:
    from superset import security_manager
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.utils.core import override_user

    with override_user(security_manager.find_user("admin")):
        ImportAssetsCommand(files).run()


if __name__ == "__main__":
    main()
