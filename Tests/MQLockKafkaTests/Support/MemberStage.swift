import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// Members in processes of their own on the shards of one topic, the history that they write, and how long things took.
final class MemberStage: @unchecked Sendable {
    let broker: LiveKafka
    let topic: String
    private let title: String
    private let partitions: Int
    private let session: Int
    private let history: URL
    private let recorder = HistoryRecorder(process: "test")
    private var began = HistoryClock.now
    private var rows: [String] = []

    init(_ title: String, _ broker: LiveKafka, partitions: Int, session: Int) throws {
        (self.title, self.broker, self.partitions, self.session) = (title, broker, partitions, session)
        topic = try broker.makeTopic(partitions: partitions)
        history = FileManager.default.temporaryDirectory.appending(path: "\(topic).history")
        for file in [history, looksFile] { try Data().write(to: file) }
    }

    deinit { for file in [history, looksFile] { try? FileManager.default.removeItem(at: file) } }

    private var looksFile: URL { URL(filePath: history.path + ".looks") }

    func start(_ name: String, hasNoDeadline: Bool = false) throws -> ShardProcess {
        try ShardProcess(
            name, broker, topic: topic, partitions: partitions, session: session, history: history,
            hasNoDeadline: hasNoDeadline)
    }

    /// Sends SIGKILL, SIGSTOP or SIGCONT, and writes it down before it can have happened.
    func signal(_ number: Int32, _ process: ShardProcess) {
        let kind: History.Kind? =
            switch number {
            case SIGKILL: .processDied
            case SIGSTOP: .processStopped
            case SIGCONT: .processContinued
            default: nil
            }
        if let kind { recorder.record(History.Event(at: HistoryClock.now, process: process.name, kind: kind)) }
        process.signal(number)
    }

    func events() throws -> [History.Event] {
        let text = try String(contentsOf: history, encoding: .utf8)
        // The last line may be under way.
        let whole = text.lastIndex(of: "\n").map { text[...$0] } ?? ""
        return (try History.events(fromLines: String(whole)) + recorder.events).sorted { $0.at < $1.at }
    }

    // MARK: Waiting

    /// Waits until each member owns that many shards, and notes for how long the shards had no owner since the last phase.
    func phase(_ what: String, _ wanted: [String: Int]) async throws {
        do {
            try await eventually("\(title), \(what): \(wanted)") { try self.owning() == wanted }
        } catch {
            print("\(title), \(what): owned are \(try owning()), last seen was")
            for event in try events().suffix(40) { print("  \(event.line)", terminator: "") }
            throw error
        }
        let now = HistoryClock.now
        let gaps = try gaps(since: began).sorted()
        func shown(_ value: UInt64) -> String { "\(value / 1_000_000)" }
        var row = "  \(what): "
        if let first = gaps.first, let last = gaps.last {
            row += "\(shown(first)) / \(shown(gaps[gaps.count / 2])) / \(shown(last)) ms over \(gaps.count) shards, "
        } else {
            row += "no shard changed hands, "
        }
        row += "settled after \(shown(now - began)) ms"
        let renewal = try longestRenewalGaps(since: began)
        if !renewal.isEmpty { row += "; renewals at most apart: \(renewal.joined(separator: ", "))" }
        rows.append(row)
        began = HistoryClock.now
    }

    /// Waits until something is granted that was not at the call.
    func newGrants() async throws {
        let before = try grants()
        try await eventually("\(title): new grants") { try self.grants() > before }
    }

    /// Waits until each of these members has sent a renewal after the call that was accepted.
    func renewals(of names: [String]) async throws {
        let start = HistoryClock.now
        try await eventually("\(title): renewals of \(names)") {
            let renewed = try self.looks().filter { $0.count == 3 && $0[1] == "renewed" && UInt64($0[2]) ?? 0 > start }
            return Set(names).isSubset(of: renewed.map { $0[0] })
        }
    }

    private func grants() throws -> Int {
        try events().count { if case .granted = $0.kind { true } else { false } }
    }

    /// How many shards each member owns, as far as is written; the dead and the stopped own nothing.
    func owning() throws -> [String: Int] {
        var owner: [String: Set<String>] = [:]
        var gone: Set<String> = []
        for event in try events() {
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

    // MARK: What came of it

    /// The time without an owner of each shard that was granted since then.
    private func gaps(since start: UInt64) throws -> [UInt64] {
        let events = try events()
        var gaps: [UInt64] = []
        for shard in 0..<partitions {
            var owner: String?
            var freeSince: UInt64?
            for event in events
            where event.name == "shard/\(shard)" || event.name.isEmpty && event.process == owner {
                switch event.kind {
                case .ended(_, let until) where event.process == owner: (owner, freeSince) = (nil, until)
                case .processDied, .processStopped: (owner, freeSince) = (nil, event.at)
                case .granted:
                    if let since = freeSince, event.at >= start { gaps.append(event.at - min(event.at, since)) }
                    (owner, freeSince) = (event.process, nil)
                default: break
                }
            }
        }
        return gaps
    }

    /// Between the sending of one accepted renewal and the next, for each member, in a phase.
    private func longestRenewalGaps(since start: UInt64) throws -> [String] {
        var last: [String: UInt64] = [:]
        var longest: [String: UInt64] = [:]
        for look in try looks() where look.count == 3 && look[1] == "renewed" {
            guard let at = UInt64(look[2]) else { continue }
            if let before = last[look[0]], at > start {
                longest[look[0]] = max(longest[look[0]] ?? 0, at - min(at, before))
            }
            last[look[0]] = at
        }
        return longest.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value / 1_000_000) ms" }
    }

    /// The lines of the members' lookouts.
    func looks() throws -> [[String]] {
        let text = try String(contentsOf: looksFile, encoding: .utf8)
        let whole = text.lastIndex(of: "\n").map { text[...$0] } ?? ""
        return whole.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    }

    /// How much a member found owned by its very first look after a pause of a session at least.
    func ownedAfterPause(of name: String) throws -> [Int] {
        try looks().filter { $0.count == 4 && $0[0] == name && $0[1] == "paused" && (Int($0[2]) ?? 0) >= session }
            .compactMap { Int($0[3]) }
    }

    /// What these members lost otherwise than by a revocation that they answered.
    func losses(of names: [String]) throws -> [History.Event] {
        try events().filter { event in
            guard names.contains(event.process), case .ended(.lost(let why), _) = event.kind else { return false }
            return !why.contains("revoked")
        }
    }

    func verdict() throws -> Verdict { HistoryChecker().check(try events()) }

    var report: String {
        "\(title): time without an owner, least / median / most\n" + rows.joined(separator: "\n")
    }
}
