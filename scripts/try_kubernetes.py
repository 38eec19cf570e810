"""Runs the pods of deploy/k8s as containers of one Docker network: images, commands, arguments, environment, users,
capabilities, limits, volumes, names and probes as in the manifests. Then the service must answer, and survive the loss of
pods.

It does not replace a cluster: there is no scheduling, no rollout, no virtual IP of a Service, and no enforced policy. Of
Services and policies, only the names and ports are compared with the pods.
"""

import atexit
import http.client
import json
import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time

import yaml

MANIFESTS = pathlib.Path(__file__).resolve().parent.parent / "deploy" / "k8s"
NETWORK = "rel-kubernetes"
# Limits: for every pod to be ready, and for the service to be back after a loss.
READY_SECONDS = 60
BACK_SECONDS = 20
# Contains the programs built on this computer, by scripts/images.sh.
IMAGE = "scaling-lab:latest"


def fail(why):
    sys.exit(f"kubernetes: {why}")


def docker(*words):
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120)
    if done.returncode:
        fail(f"docker {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def until(what, seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            fail(f"not within {seconds} s: {what}")
        time.sleep(0.2)


class Pod:
    """One pod of a workload, and the names by which others find it."""

    def __init__(self, workload, name, names):
        self.spec = workload["spec"]["template"]["spec"]
        self.labels = workload["spec"]["template"]["metadata"]["labels"]
        self.name, self.names = name, names
        [self.container] = self.spec["containers"]
        self.claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
        self.address = None

    def port(self, port):
        """Returns a port by its name or number."""
        for declared in self.container["ports"]:
            if port in (declared["name"], declared["containerPort"]):
                return declared["containerPort"]
        return fail(f"{self.name} declares no port {port}")

    def environment(self):
        values = {}
        for variable in self.container.get("env", []):
            if variable.get("valueFrom") != {"fieldRef": {"fieldPath": "metadata.name"}}:
                fail(f"{self.name}: only the pod's name is known here, not {variable}")
            values[variable["name"]] = self.name
        return values

    def mounts(self, secret):
        volumes = {volume["name"]: volume for volume in self.spec.get("volumes", [])}
        for mount in self.container["volumeMounts"]:
            name, path = mount["name"], mount["mountPath"]
            if name in self.claims:
                yield f"--volume={path}"
            elif "secret" in volumes[name]:
                yield f"--volume={secret}:{path}:ro"
            else:
                size = volumes[name]["emptyDir"]["sizeLimit"].removesuffix("i").lower()
                yield f"--tmpfs={path}:size={size},mode=1777"

    def words(self, secret):
        """Returns the arguments of `docker run`."""
        container, user = self.container, self.spec["securityContext"]
        rights, limits = container["securityContext"], container["resources"]["limits"]
        environment = self.environment()
        words = ["--name", f"rel-{self.name}", "--hostname", self.name, "--network", NETWORK]
        words += [f"--network-alias={name}" for name in self.names]
        words += ["--user", f"{user['runAsUser']}:{user['runAsGroup']}", "--group-add", str(user["fsGroup"])]
        words += ["--read-only"] if rights["readOnlyRootFilesystem"] else []
        words += ["--security-opt=no-new-privileges"] if not rights["allowPrivilegeEscalation"] else []
        words += [f"--cap-drop={right}" for right in rights["capabilities"]["drop"]]
        words += ["--cpus", limits["cpu"], "--memory", limits["memory"].removesuffix("i").lower()]
        words += [f"--env={key}={value}" for key, value in environment.items()]
        words += self.mounts(secret)
        command, arguments = container.get("command", []), container.get("args", [])
        for key, value in environment.items():
            arguments = [word.replace(f"$({key})", value) for word in arguments]
        words += ["--entrypoint", command[0]] if command else []
        return [*words, IMAGE if container["image"] == "scaling-lab" else container["image"], *command[1:], *arguments]

    def start(self, secret):
        docker("run", "--detach", "--pull=never", *self.words(secret))
        self.address = docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", f"rel-{self.name}"
        )
        if not self.address:
            log = subprocess.run(["docker", "logs", f"rel-{self.name}"], capture_output=True, text=True, timeout=10).stderr
            fail(f"{self.name} ended at once: {log.strip()}")

    def passes(self, probe):
        """Runs a probe as a kubelet would."""
        limit = probe.get("timeoutSeconds", 1)
        if "exec" in probe:
            words = ["docker", "exec", f"rel-{self.name}", *probe["exec"]["command"]]
            # Docker takes longer than a kubelet to start a process in a container.
            return subprocess.run(words, capture_output=True, timeout=limit + 10).returncode == 0
        if "httpGet" in probe:
            status, _ = ask(self.address, self.port(probe["httpGet"]["port"]), "GET", probe["httpGet"]["path"], limit=limit)
            return 200 <= status < 400
        try:
            socket.create_connection((self.address, self.port(probe["tcpSocket"]["port"])), limit).close()
        except OSError:
            return False
        return True

    def is_ready(self):
        kinds = ("startupProbe", "livenessProbe", "readinessProbe")
        return all(self.passes(self.container[kind]) for kind in kinds if kind in self.container)


def ask(address, port, method, path, body=None, limit=5):
    """Returns the status of the response, or 0, and its body."""
    connection = http.client.HTTPConnection(address, port, timeout=limit)
    try:
        connection.request(method, path, body=body and json.dumps(body), headers={"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def pods_of(documents):
    """Returns the pods, named by the rules of Kubernetes."""
    services = [document for document in documents if document["kind"] == "Service"]
    for workload in documents:
        if workload["kind"] not in ("Deployment", "StatefulSet"):
            continue
        labels = workload["spec"]["template"]["metadata"]["labels"]
        chosen = [service["metadata"]["name"] for service in services if service["spec"]["selector"].items() <= labels.items()]
        for turn in range(workload["spec"]["replicas"]):
            name = f"{workload['metadata']['name']}-{turn}"
            own = [f"{name}.{workload['spec']['serviceName']}"] if workload["kind"] == "StatefulSet" else []
            yield Pod(workload, name, chosen + own)


def check_ports(documents, pods):
    """Checks that Services and policies refer to ports that the selected pods have."""
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Service":
            chosen = document["spec"]["selector"]
            ports = [port.get("targetPort", port["port"]) for port in document["spec"]["ports"]]
        elif document["kind"] == "NetworkPolicy":
            chosen = document["spec"]["podSelector"].get("matchLabels", {})
            ports = [port["port"] for rule in document["spec"].get("ingress", []) for port in rule["ports"]]
        else:
            continue
        matching = [pod for pod in pods if chosen.items() <= pod.labels.items()]
        if not matching:
            fail(f"{name} selects no pod")
        for pod in matching:
            for port in ports:
                pod.port(port)


def remove(pods):
    names = [f"rel-{pod.name}" for pod in pods]
    subprocess.run(["docker", "rm", "--force", "--volumes", *names], capture_output=True, timeout=120)
    subprocess.run(["docker", "network", "rm", NETWORK], capture_output=True, timeout=120)


def serves(balancers):
    """Checks a read, a write and a login through every balancer, each separately."""
    requests = (
        ("GET", "/products/1", None),
        ("PUT", "/products/7", {"name": "Lamp", "price": 900}),
        ("POST", "/login", {"user": "ada"}),
    )
    return all(200 <= ask(pod.address, pod.port("http"), *request)[0] < 300 for pod in balancers for request in requests)


def main():
    documents = [part for path in sorted(MANIFESTS.glob("[!k]*.yaml")) for part in yaml.safe_load_all(path.read_text())]
    pods = list(pods_of(documents))
    check_ports(documents, pods)
    remove(pods)
    atexit.register(remove, pods)
    docker("network", "create", NETWORK)
    with tempfile.TemporaryDirectory() as secret:
        # Like a secret's volume with fsGroup: readable by the group, and by no other user.
        file = pathlib.Path(secret) / "cluster"
        file.write_text(secrets.token_hex(32))
        rights = "chgrp 65534 /s /s/cluster && chmod 0750 /s && chmod 0440 /s/cluster"
        as_root = ["--rm", "--pull=never", "--network=none", f"--volume={secret}:/s", "--user=0", "--entrypoint=sh"]
        docker("run", *as_root, IMAGE, "-c", rights)
        for pod in pods:
            pod.start(secret)
        for pod in pods:
            until(f"{pod.name} is ready", READY_SECONDS, pod.is_ready)
        print(f"{len(pods)} pods are ready: {' '.join(pod.name for pod in pods)}")
        balancers = [pod for pod in pods if pod.labels == {"app": "lb"}]
        until("the service answers", BACK_SECONDS, lambda: serves(balancers))
        for name in ("web-1", "db-0", "db-1"):
            docker("kill", f"rel-{name}")
            until(f"the service answers without {name}", BACK_SECONDS, lambda: serves(balancers))
            docker("start", f"rel-{name}")
            [pod] = [pod for pod in pods if pod.name == name]
            until(f"{name} is ready again", READY_SECONDS, pod.is_ready)
            print(f"without {name} the service answers, and {name} came back")


main()
