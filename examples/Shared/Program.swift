import Dispatch
import Foundation
import MQLockLineReader

/// The few things that every program on a command line needs.
public enum Program {
    /// Writes a line that is seen at once, even when it goes into a pipe.
    public static func say(_ line: String) {
        try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
    }

    /// Runs the program. SIGTERM and SIGINT cancel it; an error ends the process with status 1.
    public static func run(_ body: @escaping @Sendable () async throws -> Void) async {
        let task = Task { try await body() }
        for number in [SIGTERM, SIGINT] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { task.cancel() }
            source.activate()
            signals.append(source)
        }
        do {
            try await task.value
        } catch {
            if task.isCancelled { return }
            try? FileHandle.standardError.write(contentsOf: Data("\(error)\n".utf8))
            exit(1)
        }
    }

    /// A source without a reference is cancelled.
    nonisolated(unsafe) private static var signals: [any DispatchSourceSignal] = []

    /// Stands still until a line or the end of standard input comes: the tests decide how long.
    ///
    /// Called where a machine's pause hurts most, between the work and the write. Blocks the thread and ignores
    /// cancellation, because a real pause does so too.
    public static func standStill(_ name: String) {
        say("\(name): stands still")
        _ = inputLock.withLock { input.next() }
    }

    private static let inputLock = NSLock()
    /// The one reader: it may already have read lines for later calls.
    nonisolated(unsafe) private static var input = LineReader()
}

/// `--name value` and `--flag`, and nothing else.
public struct Options: Sendable {
    private var values: [String: String] = [:]

    /// Reads the command line.
    /// - Parameter flags: the options that take no value.
    public init(flags: Set<String> = [], known: Set<String>) throws {
        var words = CommandLine.arguments.dropFirst()
        while let word = words.popFirst() {
            let name = String(word.dropFirst(2))
            guard word.hasPrefix("--"), flags.contains(name) || known.contains(name) else {
                throw ExampleError("unknown option \(word); see the README beside the source")
            }
            guard let value = flags.contains(name) ? "" : words.popFirst() else {
                throw ExampleError("\(word) needs a value")
            }
            values[name] = value
        }
    }

    /// The option's value, or the default.
    public func text(_ name: String, default value: String) -> String { values[name] ?? value }

    /// The option's value as a number that is not negative.
    public func number<Number: LosslessStringConvertible & Comparable & Numeric>(
        _ name: String, default value: Number
    ) throws -> Number {
        guard let text = values[name] else { return value }
        guard let number = Number(text), number >= 0 else { throw ExampleError("--\(name) needs a number") }
        return number
    }

    /// Whether the flag is given.
    public func has(_ flag: String) -> Bool { values[flag] != nil }

    /// `--broker`, or the broker of `brokers/with`.
    public var broker: String {
        values["broker"] ?? ProcessInfo.processInfo.environment["MQLOCK_BROKER"] ?? "amqp://127.0.0.1:5672"
    }
}
