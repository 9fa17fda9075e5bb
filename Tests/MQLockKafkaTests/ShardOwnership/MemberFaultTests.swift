import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Members in processes of their own that join, leave, are killed and stopped, on brokers that fail.
    @Suite(.serialized) struct MemberFaultTests {
        private static let partitions = 12
        private static let session = 4000
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        @Test func ownershipOfAShardNeverOverlapsAndTokensGrow() async throws {
            let stage = try Stage(broker, partitions: Self.partitions, session: Self.session)
            defer { stage.remove() }
            let one = try stage.start("one")
            try await stage.phase("lone join") { ["one": 12] }
            let two = try stage.start("two")
            try await stage.phase("second join") { ["one": 6, "two": 6] }
            let three = try stage.start("three")
            try await stage.phase("third join") { ["one": 4, "two": 4, "three": 4] }
            three.leave()
            try await stage.phase("graceful leave") { ["one": 6, "two": 6] }
            let four = try stage.start("four")
            try await stage.phase("join again") { ["one": 4, "two": 4, "four": 4] }

            stage.record(.processDied, of: two)
            two.signal(SIGKILL)
            try await stage.phase("SIGKILL") { ["one": 6, "four": 6] }
            // A crash costs the survivors an interruption, and no loss.
            let losses = try stage.events().filter {
                if case .ended(.lost(let why), _) = $0.kind {
                    $0.process != "two" && !why.contains("revoked")
                } else {
                    false
                }
            }
            #expect(losses.filter { $0.process != "three" }.isEmpty, "\(losses)")

            stage.record(.processStopped, of: one)
            one.signal(SIGSTOP)
            try await stage.phase("SIGSTOP") { ["four": 12] }
            stage.record(.processContinued, of: one)
            one.signal(SIGCONT)
            try await stage.phase("SIGCONT") { ["one": 6, "four": 6] }

            if broker.control != nil {
                try broker.fault("errors", "Heartbeat", "ILLEGAL_GENERATION", "1")
                try await stage.newGrants()
                try await stage.phase("heartbeat refused") { ["one": 6, "four": 6] }
                try broker.fault("broker", "all", "down")
                try await stage.phase("broker down") { [:] }
                try broker.fault("broker", "all", "up")
                try await stage.phase("broker up") { ["one": 6, "four": 6] }
            }
            one.leave()
            four.leave()
            try await stage.phase("all leave") { [:] }
            let verdict = HistoryChecker().check(try stage.events())
            #expect(verdict.isGood, "\(verdict.violations)")
            #expect(verdict.remarks.isEmpty, "\(verdict.remarks)")
            print(stage.report)
        }
    }
}

/// The members, the history that they write, and how long things took.
private final class Stage: @unchecked Sendable {
    private let broker: LiveKafka
    private let topic: String
    private let partitions: Int
    private let session: Int
    private let history: URL
    private let recorder = HistoryRecorder(process: "test")
    private var began = HistoryClock.now
    private(set) var report = "time without an owner, longest over the shards, and until all are owned\n"

    init(_ broker: LiveKafka, partitions: Int, session: Int) throws {
        (self.broker, self.partitions, self.session) = (broker, partitions, session)
        topic = try broker.makeTopic(partitions: partitions)
        history = FileManager.default.temporaryDirectory.appending(path: "\(topic).history")
        try Data().write(to: history)
    }

    func remove() {
        if broker.control != nil { try? broker.fault("broker", "all", "up") }
        try? FileManager.default.removeItem(at: history)
    }

    func start(_ name: String) throws -> ShardProcess {
        try ShardProcess(name, broker, topic: topic, partitions: partitions, session: session, history: history)
    }

    func record(_ kind: History.Kind, of process: ShardProcess) {
        recorder.record(
            History.Event(at: HistoryClock.now, process: process.name, kind: kind))
    }

    func events() throws -> [History.Event] {
        let text = try String(contentsOf: history, encoding: .utf8)
        // The last line may be under way.
        let whole = text.lastIndex(of: "\n").map { text[...$0] } ?? ""
        return try History.events(fromLines: String(whole)) + recorder.events
    }

    /// Waits until each member owns that many shards, and notes how long the shards had no owner since the last phase.
    func phase(_ what: String, _ owners: () -> [String: Int]) async throws {
        let wanted = owners()
        try await eventually("\(what): \(wanted)") { try owning() == wanted }
        let now = HistoryClock.now
        let events = try events().sorted { $0.at < $1.at }
        var gaps: [Double] = []
        for shard in 0..<partitions {
            var owner: String?
            var freeSince: UInt64?
            for event in events
            where event.name == "shard/\(shard)" || event.name.isEmpty && event.process == owner {
                switch event.kind {
                case .ended(_, let until) where event.process == owner: (owner, freeSince) = (nil, until)
                case .processDied, .processStopped: (owner, freeSince) = (nil, event.at)
                case .granted:
                    if let since = freeSince, event.at >= began {
                        gaps.append(Double(event.at - min(event.at, since)) / 1e6)
                    }
                    (owner, freeSince) = (event.process, nil)
                default: break
                }
            }
        }
        let longest = gaps.max().map { "\(Int($0)) ms" } ?? "-"
        report += "  \(what): \(longest), \(Int(Double(now - began) / 1e6)) ms\n"
        began = HistoryClock.now
    }

    /// Waits until something is granted that was not at the call.
    func newGrants() async throws {
        let before = try grants()
        try await eventually("new grants") { try grants() > before }
    }

    private func grants() throws -> Int {
        try events().count { if case .granted = $0.kind { true } else { false } }
    }

    /// How many shards each member owns, as far as is written; the dead and the stopped own nothing.
    private func owning() throws -> [String: Int] {
        var owner: [String: Set<String>] = [:]
        var gone: Set<String> = []
        for event in try events().sorted(by: { $0.at < $1.at }) {
            switch event.kind {
            case .granted: owner[event.process, default: []].insert(event.name)
            case .ended: owner[event.process]?.remove(event.name)
            case .processDied, .processStopped: gone.insert(event.process)
            case .processContinued: gone.remove(event.process)
            default: break
            }
        }
        return owner.filter { !gone.contains($0.key) && !$0.value.isEmpty }.mapValues(\.count)
    }
}
