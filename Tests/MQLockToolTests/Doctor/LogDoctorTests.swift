import Foundation
import MQLock
import MQLockKafka
import Testing

@testable import MQLockTool

@Suite("what the doctor judges of a topic for locks")
struct LogDoctorTests {
    /// The subjects that are not good, with their levels.
    private func complaints(
        brokers: Int = 3, replicas: Int = 3, ttl: Duration = .seconds(30), _ changes: [String: String?] = [:]
    ) -> [String: Finding.Level] {
        var settings = LogDoctor.settings
        for (name, value) in changes { settings[name] = value }
        let setup = KafkaInspector.Setup(
            brokers: brokers, replicas: replicas, topic: .success(settings), broker: .success([:]))
        let findings = LogDoctor.judge(setup, "t", ttl: ttl).filter { $0.level != .good }
        #expect(findings.allSatisfy { ($0.level == .wrong) == ($0.status == 78) })
        return Dictionary(uniqueKeysWithValues: findings.map { ($0.subject, $0.level) })
    }

    @Test("a topic as the doctor makes it is good, of locks and of shards, and each setting that is not so is found")
    func settings() {
        #expect(complaints() == [:])
        #expect(complaints(brokers: 1, replicas: 1, ttl: .seconds(2)) == [:])
        let wrong: [String: (values: [String], subject: String, level: Finding.Level)] = [
            "cleanup.policy": (["compact", "compact,delete"], "cleanup.policy", .wrong),
            "retention.ms": (["0", "3600000", "86399999"], "retention", .wrong),
            "retention.bytes": (["0", "1073741824"], "retention.bytes", .wrong),
            "message.timestamp.type": (["CreateTime"], "clock", .advice),
            "unclean.leader.election.enable": (["true"], "unclean election", .wrong),
        ]
        #expect(Set(wrong.keys) == Set(LogDoctor.settings.keys))
        for (name, (values, subject, level)) in wrong {
            for value in values { #expect(complaints([name: value]) == [subject: level], "\(name)=\(value)") }
        }
        for (name, value) in [("retention.ms", "-1"), ("retention.ms", "86400000"), ("min.insync.replicas", "2")] {
            #expect(complaints([name: value]) == [:], "\(name)=\(value)")
        }
        // Twenty times the longest session is more than a day only for one that no session can have.
        #expect(complaints(ttl: .seconds(5000), ["retention.ms": "86400000"]) == ["retention": .wrong])
        #expect(complaints(["min.insync.replicas": "1"]) == ["min.insync.replicas": .advice])
        #expect(complaints(replicas: 1) == ["replicas": .advice])
        #expect(complaints(ttl: .seconds(10)) == ["broker crash": .advice])
        #expect(complaints(["cleanup.policy": nil, "retention.ms": nil]) == ["retention": .advice])
        let shards = KafkaInspector.Setup(
            brokers: 3, replicas: 3, topic: .success(ShardDoctor.settings), broker: .success([:]))
        #expect(ShardDoctor.judge(shards, "t", session: .seconds(20)).allSatisfy { $0.level == .good })
    }

    @Test("settings that may not be looked at are no fault, and partitions that are missing are")
    func others() {
        let setup = KafkaInspector.Setup(
            brokers: 1, replicas: 1, topic: .failure(.init(reason: "no right")), broker: .failure(.init(reason: "no")))
        let findings = LogDoctor.judge(setup, "t", ttl: .seconds(30))
        #expect(findings.contains { $0.level == .advice && $0.text.contains("no right") })
        #expect(findings.allSatisfy { $0.level != .wrong })
        for (count, configured, isGood) in [(1, nil, true), (4, nil, true), (4, 4, true), (4, 3, true), (3, 4, false)] {
            #expect((LogDoctor.judge(partitions: count, configured: configured, "t").level == .good) == isGood)
        }
    }
}

/// A topic is of one kind; whoever takes it for the other is told.
@Suite(
    "mqlock on a topic of the other kind", .timeLimit(.minutes(2)),
    .enabled(if: PrivateKafka.isWanted, PrivateKafka.reason))
struct TopicKindTests {
    private func results(_ commands: [[String]], _ uri: String) async throws -> [TestProcess.Result] {
        var results: [TestProcess.Result] = []
        for command in commands {
            let parts = command.split(separator: "--", maxSplits: 1, omittingEmptySubsequences: false)
            let words = parts[0] + ["--broker", uri] + (parts.count > 1 ? ["--"] + parts[1] : [])
            results.append(try await TestProcess.run(Array(words)))
        }
        return results
    }

    @Test("shards, used as a log of locks: every command says so, with 78, and doctor finds it well")
    func shards() async throws {
        let kafka = try await PrivateKafka("topic:1")
        let uri = "kafka://\(kafka.brokers)/topic"
        let shards = "\(uri)?mutex=shards&session=3s"
        #expect(try await TestProcess.run(["elect", "job", "--broker", shards, "--", "true"]).status == 0)
        let commands = [
            ["run", "job", "--", "true"], ["run", "-n", "job", "--", "true"], ["elect", "job", "--", "true"],
            ["show", "job"], ["list"], ["observe", "job"], ["break", "job", "--yes"], ["doctor"],
            ["demo", "--workers", "2"], ["bench", "--quick"],
        ]
        for (command, result) in zip(commands, try await results(commands, uri)) {
            #expect(result.status == 78, "\(command): \(result.errors)")
            #expect(
                (result.output + result.errors).contains("mutex=shards"), "\(command): \(result.output)\(result.errors)"
            )
        }
        #expect(try await TestProcess.run(["doctor", "--broker", "\(shards)&partitions=1"]).status == 0)
    }

    @Test("a log of locks, used as shards: every command says so, with 78, and whoever holds a lock goes on")
    func log() async throws {
        let kafka = try await PrivateKafka("topic:1")
        let uri = "kafka://\(kafka.brokers)/topic"
        let holder = try TestProcess(
            TestProcess.mqlock,
            [
                "mqlock", "run", "job", "--broker", "\(uri)?\(PrivateKafka.quick)", "--", "sh", "-c",
                "echo ready; exec sleep 600",
            ])
        #expect(await holder.output.line() == "ready")
        let commands = [["elect", "job", "--", "true"], ["shards", "-p", "1"], ["doctor"]]
        let shards = "\(uri)?mutex=shards&session=3s"
        let all =
            try await results(commands, shards) + results(Array(commands.dropLast()), "\(shards)&claims=acknowledged")
        for (command, result) in zip(commands + commands, all) {
            #expect(result.status == 78, "\(command): \(result.output)\(result.errors)")
            #expect(
                (result.output + result.errors).contains("log of locks"), "\(command): \(result.output)\(result.errors)"
            )
        }
        // The marker of one transaction would have ended its session.
        #expect(try await TestProcess.run(["show", "job", "--broker", uri]).status == 0)
        let other = try await TestProcess.run([
            "run", "other", "--broker", "\(uri)?\(PrivateKafka.quick)", "--", "true",
        ])
        #expect(other.status == 0, "\(other.errors)")
        holder.send(15)
        #expect(await holder.result().status == 128 + 15)
    }
}
