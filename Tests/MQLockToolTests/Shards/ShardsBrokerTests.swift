import Foundation
import MQLock
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The built command against mock clusters of its own.
@Suite(
    "mqlock shards", .serialized, .timeLimit(.minutes(2)),
    .enabled(if: PrivateKafka.isWanted, PrivateKafka.reason))
struct ShardsBrokerTests {
    /// An event as `--json` tells it.
    fileprivate struct Event {
        let kind: String
        let shard: Int?
        let token: UInt64?
        let object: [String: Any]

        init(_ line: String) throws {
            object = try required(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            kind = try required(object["event"] as? String)
            shard = object["shard"] as? Int
            token = (object["fence"] as? String).flatMap(UInt64.init)
        }
    }

    /// A member that runs, and the events that it has told.
    private final class Member {
        let process: TestProcess
        private(set) var events: [Event] = []

        init(_ kafka: PrivateKafka, _ options: String...) throws {
            process = try TestProcess(
                TestProcess.mqlock, ["mqlock", "shards", "--json", "--partitions", "4"] + options,
                environment: ["MQLOCK_BROKER": "kafka://\(kafka.brokers)/locks?session=3s"])
        }

        /// Reads until it is so.
        func events(until isEnough: ([Event]) -> Bool) async throws {
            while !isEnough(events) {
                guard let line = await process.output.line() else {
                    Issue.record("it ended too early; it told \(events.map(\.object))")
                    throw TestFailure("it ended too early")
                }
                events.append(try Event(line))
            }
        }

        /// What it owns, by what it has told.
        var owned: Set<Int> {
            events.reduce(into: []) { owned, event in
                guard let shard = event.shard else { return }
                switch event.kind {
                case "owned", "regained": owned.insert(shard)
                case "draining": break
                default: owned.remove(shard)
                }
            }
        }

        func count(_ kind: String) -> Int { events.count { $0.kind == kind } }
    }

    @Test("two processes share four shards; one leaves, and the other has them all")
    func share() async throws {
        let kafka = try await PrivateKafka("locks:4")
        let first = try Member(kafka, "--owner", "first")
        try await first.events { $0.count { $0.kind == "owned" } == 4 }
        #expect(first.owned == [0, 1, 2, 3])
        #expect(first.events.first?.kind == "joining" && first.events.first?.object["partitions"] as? Int == 4)
        #expect(first.events.allSatisfy { $0.object["topic"] as? String == "locks" && $0.object["time"] is String })
        #expect(first.events.allSatisfy { $0.object["owner"] as? String == "first" })

        let second = try Member(kafka)
        try await first.events { _ in first.count("released") == 2 && first.count("regained") == 2 }
        try await second.events { _ in second.owned.count == 2 }
        #expect(first.owned.union(second.owned) == [0, 1, 2, 3])
        #expect(first.count("draining") == 4 && first.count("interrupted") == 4 && first.count("lost") == 0)

        // Twice, as timeout(1) does; the second one of a pair is no order to hurry.
        first.process.send(SIGTERM)
        first.process.send(SIGTERM)
        try await first.events { $0.last?.kind == "left" }
        #expect(first.owned.isEmpty && first.count("released") == 4 && first.count("lost") == 0)
        #expect(first.events.suffix(3).map(\.kind) == ["released", "released", "left"])
        #expect(await first.process.ended().exitStatus == 0)

        try await second.events { _ in second.owned.count == 4 }
        second.process.send(SIGINT)
        try await second.events { $0.last?.kind == "left" }
        #expect(await second.process.ended().exitStatus == 0)

        // Whoever begins to own a shard has a larger token than all before.
        for shard in 0..<4 {
            let mine = first.events.filter { $0.shard == shard && ["owned", "regained"].contains($0.kind) }
            let theirs = second.events.filter { $0.shard == shard && ["owned", "regained"].contains($0.kind) }
            let tokens = try (mine + theirs).sorted { $0.time < $1.time }.map { try required($0.token) }
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<), "shard \(shard): \(tokens)")
        }
    }

    @Test("a reader that goes: the group is left all the same")
    func closedOutput() async throws {
        let kafka = try await PrivateKafka("locks:2")
        let script = "{ \"$0\" shards -p 2; echo $? >&2; } | head -n 1"
        let shell = try TestProcess(
            "/bin/sh", ["sh", "-c", script, TestProcess.mqlock],
            environment: ["MQLOCK_BROKER": "kafka://\(kafka.brokers)/locks?session=3s"])
        let result = await shell.result()
        #expect(result.output.contains(" joining "))
        #expect(result.errors == "0\n")
    }

    @Test("what the cluster refuses has a status of its own")
    func refused() async throws {
        let kafka = try await PrivateKafka("locks:4", "other:3")
        try await kafka.fault("topic-error", "nowhere", "UNKNOWN_TOPIC_OR_PART")
        try await kafka.fault("topic-error", "secret", "TOPIC_AUTHORIZATION_FAILED")
        for (topic, options, status, phrase) in [
            ("locks", [], 64, "--partitions 4"), ("other", ["-p", "4"], 78, "3 partitions"),
            ("nowhere", ["-p", "4"], 78, "no topic"), ("secret", ["-p", "4"], 77, "access-control"),
        ] {
            let result = try await TestProcess.run(
                ["shards", "--broker", "kafka://\(kafka.brokers)/\(topic)"] + options)
            #expect(result.status == status, "\(topic)")
            #expect(result.errors.contains(phrase), "\(result.errors)")
        }
        // What the cluster would refuse for ever; librdkafka asks again and again, and calls none of it fatal.
        for (request, error, status) in [
            ("JoinGroup", "GROUP_AUTHORIZATION_FAILED", 77), ("JoinGroup", "INVALID_SESSION_TIMEOUT", 64),
            ("InitProducerId", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", 77),
        ] {
            try await kafka.fault("errors", request, error, "1000")
            let member = try Member(kafka)
            try await member.events { $0.last?.kind == "failed" }
            #expect(member.count("owned") == 0)
            #expect(await member.process.ended().exitStatus == Int32(status), "\(error)")
            try await kafka.fault("errors", request, "clear")
        }
    }
}

extension ShardsBrokerTests.Event {
    fileprivate var time: String { object["time"] as? String ?? "" }
}
