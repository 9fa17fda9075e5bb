import Foundation
import Testing

@testable import MQLockTool

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// A mock Kafka that no other test breaks; gone with this object, or with the process.
final class PrivateKafka: Sendable {
    /// Whether tests are to use brokers at all.
    static let isWanted = ProcessInfo.processInfo.environment["MQLOCK_KAFKA"] != nil
    static let reason: Comment = "needs a broker: brokers/with --kafka -- swift test"

    let brokers: String
    /// For a URI. A Kafka answers as soon as there is something to read, the mock when the time to wait for it is over.
    static let quick = "fetch.wait.max.ms=10"
    private let control: String
    private let pid: pid_t
    /// Its standard input, at whose end it goes.
    private let input: Int32

    /// - Parameter topics: each as NAME:PARTITIONS.
    init(_ topics: String...) async throws {
        let input = try required(Spawn.pipe())
        let output = try required(Spawn.pipe())
        let script = "echo \"$MQLOCK_KAFKA $MQLOCK_KAFKA_CTL\"; exec cat"
        let words = ["with", "--kafka"] + topics.flatMap { ["--topic", $0] } + ["--", "sh", "-c", script]
        let with = URL(fileURLWithPath: #filePath).appending(path: "../../../../brokers/with").standardized.path
        let spawn = Spawn(
            path: with, arguments: Spawn.strings(words),
            // Not the one that others share.
            environment: Spawn.environment(overriding: ["MQLOCK_KAFKA": ""]),
            standard: [0: input.reading, 1: output.writing])
        let pid = spawn()
        close(input.reading)
        close(output.writing)
        guard pid > 0 else { throw TestFailure("cannot start \(with): \(pid)") }
        (self.pid, self.input) = (pid, input.writing)
        let answer = await PipeReader(output.reading, of: pid).line()?.split(separator: " ").map(String.init)
        (brokers, control) = (answer?.first ?? "", answer?.last ?? "")
        guard answer?.count == 2 else { throw TestFailure("the mock Kafka did not come up") }
    }

    deinit {
        close(input)
        var status: Int32 = 0
        _ = Platform.retrying { waitpid(pid, &status, 0) }
    }

    /// Sends it a line; the words are listed in brokers/EmbeddedKafka/ControlCommand.swift.
    func fault(_ words: String...) async throws {
        let result = await (try TestProcess(control, [control] + words)).result()
        guard result.status == 0 else { throw TestFailure("\(words): \(result.errors)") }
    }
}
