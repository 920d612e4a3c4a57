"""The process of a local Elasticsearch node: `python -m millrace.stack.elasticsearch_node LIBJVM HOME HEAP JAR...`.

The server's own start-up class expects the files of its distribution, which Maven Central lacks; its classes do not.
So Python holds the Java machine and starts the node by them, as Elasticsearch's own tests do.
"""

import sys
from collections.abc import Callable

import jpype

from millrace.stack import jvm


def main(library: str, home: str, heap: str, *jars: str) -> None:
    """Run a node whose files are in `home` until SIGTERM or Ctrl-C."""
    jvm.hold(library, heap, jars, lambda: _start(home), f"-Des.path.home={home}")


def _start(home: str) -> Callable[[], object]:
    path = jpype.JClass("java.nio.file.Path").of(home)
    properties = jpype.JClass("java.util.HashMap")()
    properties.put("path.home", home)
    preparer = jpype.JClass("org.elasticsearch.node.InternalSettingsPreparer")
    settings = jpype.JClass("org.elasticsearch.common.settings.Settings").EMPTY
    name = jpype.JProxy("java.util.function.Supplier", dict={"get": lambda: "millrace"})
    environment = preparer.prepareEnvironment(settings, properties, path.resolve("config"), name)
    jpype.JClass("org.elasticsearch.common.logging.LogConfigurator").configure(environment, True)
    loader = jpype.JClass("org.elasticsearch.plugins.PluginsLoader")
    modules = loader.loadModulesBundles(environment.modulesDir(), False)
    nothing = jpype.JClass("java.util.Set").of(), jpype.JClass("java.util.Map").of()
    plugins = loader.createPluginsLoader(modules, *nothing, False)
    node = jpype.JClass("org.elasticsearch.node.Node")(environment, plugins)
    node.start()
    close: Callable[[], object] = node.close
    return close


if __name__ == "__main__":
    main(*sys.argv[1:])
