import Foundation
import MQLock
import MQLockKafka
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The examples of operation, each read by its own tool, and their command lines by ours.
@Suite("Examples of operation", .timeLimit(.minutes(2)))
struct OperationTests {
    private static let withoutPython: Comment = "no python3 with a reader of YAML (Debian: python3-yaml)"

    @Test("every file is there for something: the README of the folder links it")
    func linked() throws {
        let text = try OperationFile("README.md").text()
        #expect(OperationFile.all.count > 10)
        for path in OperationFile.all where path != "README.md" && !path.hasPrefix("compose/secrets") {
            // A timer stands beside its service.
            #expect(
                text.contains("](\(path))") || text.contains("](\(path.replacing(".timer", with: ".service"))"),
                "\(path)")
        }
    }

    @Test("the README's command lines are ones that mqlock takes")
    func commandLines() throws {
        let lines = try OperationFile("README.md").text().split(separator: "\n").filter { $0.hasPrefix("mqlock ") }
        #expect(lines.count > 1)
        for line in lines {
            let words = line.prefix { $0 != "#" }.replacing("'", with: "").split(separator: " ").map(String.init)
            #expect(throws: Never.self) { try Invocation.parse(Array(words.dropFirst())) }
        }
    }

    // MARK: systemd

    private static let units = ["relay.service", "report.service", "report.timer"]

    /// The programs that units and manifests name, and what they are to the tools that look for them here.
    private static func here(_ text: String) -> String {
        text.replacing("/usr/bin/mqlock", with: TestProcess.mqlock).replacing("/usr/bin/relay", with: "/bin/true")
            .replacing("/usr/bin/report", with: "/bin/true")
    }

    @Test(
        "systemd takes the units",
        .enabled(if: ProgramPath.first("systemd-analyze") != nil, "no systemd-analyze (Debian: systemd)"))
    func systemd() async throws {
        let analyze = try required(ProgramPath.first("systemd-analyze"))
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var paths: [String] = []
        for unit in Self.units {
            let file = folder.appendingPathComponent(unit)
            // The manual need not be installed here.
            let text = try Self.here(OperationFile("systemd/\(unit)").text()).replacing(/Documentation=.*\n/, with: "")
            try text.write(to: file, atomically: true, encoding: .utf8)
            paths.append(file.path)
        }
        let verdict = try await Self.run(analyze, ["verify"] + paths)
        // It says what is wrong with other units of this machine, too.
        let ours = verdict.errors.split(separator: "\n").filter { $0.contains(folder.path) || $0.contains("report.") }
        #expect(verdict.status == 0 && ours.isEmpty, "\(verdict.errors)")
        let bad = folder.appendingPathComponent("bad.service")
        try "[Service]\nKillMode=mixd\nExecStart=/bin/true\n".write(to: bad, atomically: true, encoding: .utf8)
        #expect(try await Self.run(analyze, ["verify", bad.path]).errors.contains("mixd"), "it does not look")
    }

    @Test("a unit sends TERM to mqlock alone, and gives it a file with the password", arguments: units.prefix(2))
    func unit(name: String) throws {
        let lines = try OperationFile("systemd/\(name)").text().split(separator: "\n").map(String.init)
        #expect(lines.contains("KillMode=mixed"))
        let start = try required(lines.first { $0.hasPrefix("ExecStart=") }).dropFirst("ExecStart=".count)
        let credential = try required(lines.first { $0.hasPrefix("LoadCredential=") })
            .dropFirst("LoadCredential=".count).prefix { $0 != ":" }
        let words = start.split(separator: " ").map(String.init)
        #expect(words.first == "/usr/bin/mqlock")
        try Self.expectBroker("${CREDENTIALS_DIRECTORY}/\(credential)", in: Array(words.dropFirst()))
    }

    /// That mqlock takes the words, and reads the broker from that file.
    private static func expectBroker(_ file: String, in words: [String]) throws {
        switch try Invocation.parse(words) {
        case .run(let options):
            #expect(options.broker == .file(file) && options.once != nil)
        case .elect(let options):
            #expect(options.run.broker == .file(file) && options.restart)
        default: Issue.record("neither run nor elect: \(words)")
        }
    }

    // MARK: Kubernetes

    private static let manifests = ["kubernetes/relay.yaml", "kubernetes/report.yaml"]

    @Test(
        "manifests have the fields of their kinds", .enabled(if: OperationFile.python != nil, withoutPython),
        arguments: manifests)
    func fields(path: String) async throws {
        for document in try await OperationFile(path).documents() {
            let schema = try required(KubernetesSchema.of(document["kind"].text, document["apiVersion"].text))
            #expect(schema.complaints(document).isEmpty, "\(path)")
        }
        let bad = YAML(
            ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": 7], "data": [1]] as [String: Any])
        #expect(try required(KubernetesSchema.of("Secret", "v1")).complaints(bad).count == 2)
    }

    @Test(
        "pods read the broker from a secret of root and their group, and have time to end",
        .enabled(if: OperationFile.python != nil, withoutPython), arguments: manifests)
    func pods(path: String) async throws {
        let documents = try await OperationFile(path).documents()
        let secrets = try await OperationFile(Self.manifests[0]).documents().filter { $0["kind"].text == "Secret" }
        let pod = try required(
            documents.map { document in
                let spec =
                    document["kind"].text == "CronJob" ? document["spec", "jobTemplate", "spec"] : document["spec"]
                return spec["template", "spec"]
            }.first { $0.isThere })
        let container = try required(pod["containers"].list.first)
        let command = container["command"].texts
        #expect(command.first == "/usr/bin/mqlock" && !pod["shareProcessNamespace"].isTrue)

        let mount = try required(container["volumeMounts"].list.first)
        let volume = try required(pod["volumes"].list.first { $0["name"].text == mount["name"].text })
        let secret = try required(secrets.first { $0["metadata", "name"].text == volume["secret", "secretName"].text })
        let key = try required(secret["stringData"].map.keys.first)
        try Self.expectBroker("\(mount["mountPath"].text)/\(key)", in: Array(command.dropFirst()))
        // As Kubernetes mounts it: root's, with the group of fsGroup.
        let mode = try required(volume["secret", "defaultMode"].number)
        #expect(pod["securityContext", "fsGroup"].number == pod["securityContext", "runAsGroup"].number)
        #expect(BrokerFile.complaint(owner: 0, mode: mode_t(mode), user: 10001) == nil && mode & 0o040 != 0)

        let pause = container["lifecycle", "preStop", "exec", "command"].texts.last.flatMap { Int($0) } ?? 0
        #expect(try required(pod["terminationGracePeriodSeconds"].number) - pause >= 30)
        #expect(documents.contains { $0["kind"].text == "CronJob" } || pause > 0)
    }

    // MARK: Brokers

    @Test(
        "three nodes, each with a place of its own for its data",
        .enabled(if: OperationFile.python != nil, withoutPython), arguments: ["rabbitmq", "kafka"])
    func compose(broker: String) async throws {
        let file = try required(try await OperationFile("compose/\(broker).yaml").documents().first)
        let services = file["services"].map
        let nodes = services.filter { $0.key != "setup" }
        #expect(nodes.count == 3)
        let sources = nodes.values.flatMap { $0["volumes"].texts }.map { String($0.prefix { $0 != ":" }) }
        #expect(Set(file["volumes"].map.keys) == Set(sources.filter { !$0.hasPrefix(".") }))
        #expect(file["volumes"].map.count == 3)
        let ports = nodes.values.flatMap { $0["ports"].texts }
        #expect(Set(ports).count == ports.count && ports.allSatisfy { $0.hasPrefix("127.0.0.1:") })
        for service in services.values {
            #expect(service["depends_on"].map.keys.allSatisfy { services[$0] != nil })
            for secret in service["secrets"].texts { #expect(file["secrets", secret].isThere) }
            for volume in service["volumes"].texts where volume.hasPrefix("./") {
                let path = volume.dropFirst(2).prefix { $0 != ":" }
                #expect(FileManager.default.fileExists(atPath: OperationFile("compose/\(path)").url.path))
            }
        }
        for (name, node) in nodes { #expect(node["hostname"].text == name && node["healthcheck"].isThere) }
    }

    @Test(
        "docker-compose takes the files",
        .enabled(if: ProgramPath.first("docker-compose") != nil, "no docker-compose on the PATH"),
        arguments: ["rabbitmq", "kafka"])
    func dockerCompose(broker: String) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("\(broker).yaml")
        let text = try OperationFile("compose/\(broker).yaml").text()
        let compose = try required(ProgramPath.first("docker-compose"))
        // Version 1, as in Debian 12, knows no name; everything else is read alike.
        try text.replacing(/(?m)^name: .*\n/, with: "").write(to: file, atomically: true, encoding: .utf8)
        let verdict = try await Self.run(compose, ["-f", file.path, "config", "-q"])
        #expect(verdict.status == 0, "\(verdict.errors)")
        try text.replacing("depends_on", with: "depends_of").write(to: file, atomically: true, encoding: .utf8)
        #expect(try await Self.run(compose, ["-f", file.path, "config", "-q"]).status != 0, "it does not look")
    }

    @Test(
        "Kafka's nodes know each other, and doctor finds nothing to say about their topic",
        .enabled(if: OperationFile.python != nil, withoutPython))
    func kafka() async throws {
        let file = try required(try await OperationFile("compose/kafka.yaml").documents().first)
        let nodes = file["services"].map.filter { $0.key != "setup" }
        let settings = nodes.mapValues { $0["environment"].map.mapValues(\.text) }
        #expect(Set(settings.values.compactMap { $0["KAFKA_NODE_ID"] }) == ["1", "2", "3"])
        for (name, node) in settings {
            let id = try required(node["KAFKA_NODE_ID"])
            #expect(
                node["KAFKA_CONTROLLER_QUORUM_VOTERS"]?.split(separator: ",").contains { $0 == "\(id)@\(name):9093" }
                    == true)
            #expect(node["KAFKA_ADVERTISED_LISTENERS"]?.contains("INSIDE://\(name):") == true)
            // 16 bytes in base64 for URLs, without padding.
            #expect(try required(node["CLUSTER_ID"]).count == 22)
        }
        let script = OperationFile("compose/kafka-setup").url.path
        let said = try await Self.run(
            "/bin/bash", [script], environment: ["KAFKA_TOPICS": "echo", "BOOTSTRAP": "kafka1:19092"])
        let words = said.output.split(whereSeparator: \.isWhitespace).map(String.init)
        func options(_ name: String) -> [String] {
            zip(words, words.dropFirst()).filter { $0.0 == "--\(name)" }.map(\.1)
        }
        #expect(options("topic") == ["orders.locks"] && options("bootstrap-server") == ["kafka1:19092"])
        let topic = Dictionary(
            options("config").map { $0.split(separator: "=").map(String.init) }.map { ($0[0], $0[1]) },
            uniquingKeysWith: { $1 })
        let broker = Dictionary(
            try required(settings.first).value.map { name, value in
                (name.dropFirst("KAFKA_".count).lowercased().replacing("_", with: "."), value)
            }, uniquingKeysWith: { $1 })
        let setup = KafkaInspector.Setup(
            brokers: nodes.count, replicas: try required(options("replication-factor").first.flatMap { Int($0) }),
            topic: .success(topic),
            broker: .success(broker))
        let findings =
            ShardDoctor.judge(
                setup, "orders.locks", session: ShardOwnership.Configuration.surviveBrokerCrash)
            + [
                ShardDoctor.judge(
                    partitions: try required(options("partitions").first.flatMap { Int($0) }), configured: 12,
                    "orders.locks")
            ]
        #expect(findings.count > 4 && findings.allSatisfy { $0.level == .good }, "\(findings)")
        #expect(broker["transaction.state.log.min.isr"] == "2" && broker["offsets.topic.replication.factor"] == "3")
    }

    @Test(
        "RabbitMQ takes the settings, and doctor finds nothing wrong for the user that is set up",
        .enabled(if: Self.control != nil, "needs a broker of brokers/with"))
    func rabbitMQ() async throws {
        let broker = try required(ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ"])
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let password = folder.appendingPathComponent("password")
        let secret = UUID().uuidString
        try secret.write(to: password, atomically: true, encoding: .utf8)
        let control = try required(Self.control)
        let script = OperationFile("compose/rabbitmq-setup").url.path
        // The second time it finds everything there.
        for _ in 0..<2 {
            let setup = try await Self.run(
                "/bin/bash", [script], environment: ["RABBITMQCTL": control, "PASSWORD_FILE": password.path])
            #expect(setup.status == 0, "\(setup.output)\(setup.errors)")
        }
        let address = try required(broker.split(separator: "@").last)
        let uri = "amqp://locks:\(secret)@\(address)/locks"
        let doctor = try await TestProcess.run(["doctor"], environment: [BrokerSource.variable: uri])
        #expect(doctor.status == 0, "\(doctor.output)\(doctor.errors)")
        // The name is free in a virtual host of the test's own.
        for expected in ["ran\n", ""] {
            let job = try await TestProcess.run(
                ["run", "--once", "operation", "nightly-report", "--", "echo", "ran"],
                environment: [BrokerSource.variable: uri])
            #expect(job.status == 0 && job.output == expected, "\(job.errors)")
        }
        _ = try await Self.run(control, ["-q", "delete_vhost", "locks"])
        _ = try await Self.run(control, ["-q", "delete_user", "locks"])
    }

    private static let control = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_CTL"]

    private static func run(
        _ path: String, _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> TestProcess.Result {
        await (try TestProcess(path, [path] + arguments, environment: environment)).result()
    }
}
