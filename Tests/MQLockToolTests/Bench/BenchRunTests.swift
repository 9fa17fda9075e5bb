import Foundation
import MQLockRabbitMQ
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The whole benchmark, with the command that was built beside the tests. What it measures is not judged, for machines
/// differ; that it measures is.
@Suite("Benchmark runs", .serialized, .timeLimit(.minutes(3))) struct BenchRunTests {
    @Test func unreachableBroker() async throws {
        // Nothing listens on port 1.
        let result = try await TestProcess.run(["bench", "--quick", "--broker", "amqp://127.0.0.1:1"])
        #expect(result.status == 69)
        #expect(result.output.isEmpty)
        #expect(result.errors.contains("127.0.0.1:1"))
    }

    @Test(.enabled(if: Broker.uri != nil, Broker.reason)) func refusedCredentials() async throws {
        let broker = try Broker.changed { $0.password = "wrong" }
        #expect(try await TestProcess.run(["bench", "--quick", "--broker", broker]).status == 77)
    }

    @Test(.enabled(if: Broker.uri != nil, Broker.reason)) func aQuickRunMeasuresEverything() async throws {
        let result = try await TestProcess.run(
            ["bench", "--quick", "--json", "--beside", Self.rawLocks, "--broker", try required(Broker.uri)])
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        let lines = result.output.split(separator: "\n").map { Data($0.utf8) }
        let events = try lines.map { line in
            (try JSONSerialization.jsonObject(with: line) as? [String: Any])?["event"] as? String
        }
        let mutexes = RabbitMQLocks.Mutex.allCases.map(\.description)
        let rows: [BenchResult.Measure] = [
            .uncontended, .handOver, .handOver, .tasks, .tasks, .beside, .newName, .knownName, .newProcess, .loss,
            .recovery,
        ]
        #expect(events == ["started"] + Array(repeating: "measured", count: rows.count * mutexes.count) + ["finished"])
        let results = try lines.dropFirst().dropLast().map { try JSONDecoder().decode(BenchResult.self, from: $0) }
        #expect(results.map(\.mutex) == mutexes.flatMap { Array(repeating: $0, count: rows.count) })
        #expect(results.map(\.measure) == mutexes.flatMap { _ in rows })
        for result in results {
            let isBeside = [.uncontended, .handOver, .newProcess, .recovery].contains(result.measure)
            #expect((result.raw != nil) == isBeside)
            for figures in [result.mqlock, result.raw].compactMap(\.self) {
                #expect(figures.p50 > 0)
                #expect(figures.p50 <= figures.p90 && figures.p90 <= figures.p99)
                switch result.measure {
                case .uncontended:
                    #expect(figures.count == 120)
                    #expect((figures.perSecond ?? 0) > 0)
                    #expect((figures.cpuPerGrant ?? 0) > 0)
                case .handOver:
                    // A process that comes to the lock twice in a row makes one fewer; at least half are hand-overs.
                    #expect((14...31).contains(figures.count), "\(figures)")
                    // Without a pause a busy machine may let each process have all its turns at once.
                    if let rate = figures.perSecond { #expect(rate >= 0) }
                    #expect((figures.cpuPerGrant ?? 0) > 0)
                    #expect((figures.longestWait ?? 0) > 0)
                    let least = 1 / Double(result.processes) - 0.001
                    #expect(figures.jainIndex.map { (least...1).contains($0) } == true, "\(figures)")
                case .tasks:
                    #expect((1..<(result.tasks == 8 ? 8 * 3 : 64 * 2)).contains(figures.count), "\(figures)")
                    #expect(figures.longestWait != nil && figures.jainIndex != nil && (figures.cpuPerGrant ?? 0) > 0)
                case .beside:
                    #expect((1...3).contains(figures.count), "\(figures)")
                    #expect(figures.share.map { 0 < $0 && $0 <= 1 } == true && figures.longestWait != nil)
                case .newName, .knownName: #expect(figures.count == 8)
                case .newProcess, .loss, .recovery:
                    #expect(figures.count == 3)
                    #expect(figures.perSecond == nil)
                }
            }
            guard let raw = result.raw else { continue }
            #expect(result.ratio.map { abs($0.p50 * raw.p50 - result.mqlock.p50) < 0.01 * result.mqlock.p50 } == true)
        }
        #expect(try await remains() == [])
    }

    /// A program that takes no orders, and one that is none.
    @Test(
        .enabled(if: Broker.uri != nil, Broker.reason),
        arguments: [("/bin/cat", 70), ("/nonexistent", 64), ("/", 70)] as [(String, Int32)])
    func theOtherProgramDoesNotWork(_ program: String, _ status: Int32) async throws {
        let result = try await TestProcess.run(
            ["bench", "--quick", "--mutex", "sac", "--beside", program, "--broker", try required(Broker.uri)])
        #expect(result.status == status, "\(result.errors)")
        #expect(try await remains() == [])
    }

    @Test(.enabled(if: Broker.uri != nil, Broker.reason)) func thereNeedBeNoOtherProgram() async throws {
        let result = try await TestProcess.run(
            [
                "bench", "--quick", "--mutex", "token", "--parts", "hand-over,uncontended", "--json", "--broker",
                try required(Broker.uri),
            ])
        #expect(result.status == 0, "\(result.errors)")
        let results = BenchFiles.results(in: result.output)
        #expect(results.map(\.measure) == [.uncontended, .handOver, .handOver])
        #expect(results.allSatisfy { $0.raw == nil && $0.ratio == nil })
    }

    @Test(.enabled(if: Broker.uri != nil, Broker.reason)) func filesAreWrittenAndCompared() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (saved, picture) = (folder.appendingPathComponent("first").path, folder.appendingPathComponent("svg").path)
        let words = [
            "bench", "--quick", "--mutex", "sac", "--parts", "uncontended", "--broker", try required(Broker.uri),
        ]
        let first = try await TestProcess.run(words + ["--save", saved])
        #expect(first.status == 0, "\(first.errors)")
        let results = BenchFiles.results(in: try String(contentsOfFile: saved, encoding: .utf8))
        #expect(results.map(\.measure) == [.uncontended])
        // It may save to the file that it compares with.
        let second = try await TestProcess.run(
            words + ["--json", "--compare", saved, "--save", saved, "--svg", picture])
        #expect(second.status == 0, "\(second.errors)")
        let compared = second.output.split(separator: "\n").filter { $0.contains(#""event":"compared""#) }
        #expect(compared.count == 1 && compared.allSatisfy { $0.contains(#""basis":"figures""#) })
        let again = BenchFiles.results(in: try String(contentsOfFile: saved, encoding: .utf8))
        #expect(again.map(\.measure) == [.uncontended] && again != results)
        #expect(try String(contentsOfFile: picture, encoding: .utf8).hasSuffix("</svg>\n"))
    }

    /// Before anything is measured: the broker is not even there.
    @Test(arguments: [
        ["--compare", "/nonexistent/file"], ["--compare", "/dev/null"], ["--save", "/nonexistent/file"],
        ["--svg", "/"],
    ]) func filesThatCannotBeUsed(_ words: [String]) async throws {
        let result = try await TestProcess.run(["bench", "--broker", "amqp://127.0.0.1:1"] + words)
        #expect(result.status == 64, "\(result.errors)")
        #expect(result.errors.contains(words[0]))
    }

    @Test(.enabled(if: PrivateKafka.isWanted, PrivateKafka.reason))
    func theLocksOfKafkaAreMeasured() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let words = [
            "bench", "--quick", "--kills", "1", "--processes", "2", "--json", "--beside", Self.rawLocks, "--broker",
        ]
        let result = try await TestProcess.run(
            words + ["kafka://\(kafka.brokers)/locks?session=2s&\(PrivateKafka.quick)"])
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        let results = BenchFiles.results(in: result.output)
        #expect(
            results.map(\.measure) == [
                .uncontended, .handOver, .tasks, .tasks, .beside, .newName, .knownName, .newProcess, .recovery,
            ])
        #expect(results.allSatisfy { $0.mutex == "log" && $0.mqlock.p50 > 0 })
        #expect(results.filter { $0.raw != nil }.map(\.measure) == [.uncontended, .handOver, .newProcess])
        // A dead holder is not expired before it cannot believe in its lease any more.
        #expect((results.last?.mqlock.p50 ?? 0) > 1_000_000)
        let refused = try await TestProcess.run(words + ["kafka://\(kafka.brokers)/locks", "--mutex", "sac"])
        #expect(refused.status == 64)
        // All its sessions have ended or will; what is left is nobody's lock.
        #expect(
            try await TestProcess.run(["run", "job", "--broker", "kafka://\(kafka.brokers)/locks", "--", "true"]).status
                == 0)
    }

    /// In the middle of it, with processes that hold and wait.
    @Test(.enabled(if: Broker.uri != nil, Broker.reason), arguments: [SIGINT, SIGTERM])
    func interruptedItLeavesNothing(_ signal: Int32) async throws {
        let process = try TestProcess(
            TestProcess.mqlock,
            [
                "mqlock", "bench", "--json", "--mutex", "sac", "--cycles", "10", "--beside", Self.rawLocks, "--broker",
                try required(Broker.uri),
            ])
        // The first result: its worker has ended, and others pass the lock on.
        while let line = await process.output.line(), !line.contains(#""measured""#) {}
        process.send(signal)
        // Everything that it started holds its output open.
        _ = await process.output.rest()
        #expect(await process.ended().exitStatus == 128 + signal)
        #expect(try await remains() == [])
    }

    /// Built beside the command.
    private static let rawLocks = URL(fileURLWithPath: TestProcess.mqlock).deletingLastPathComponent()
        .appendingPathComponent("RawLocks").path

    /// The queues of benchmarks on the broker.
    private func remains() async throws -> [String] {
        let control = try #require(ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_CTL"])
        let process = try TestProcess(control, ["rabbitmqctl", "-q", "list_queues", "--no-table-headers", "name"])
        let result = await process.result()
        #expect(result.status == 0, "\(result.errors)")
        return result.output.split(separator: "\n").map(String.init).filter { $0.contains("mqlock-bench") }
    }
}
