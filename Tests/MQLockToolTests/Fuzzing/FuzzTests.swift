import Foundation
import MQLock
import MQLockKafka
import MQLockTesting
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What a person, a file, a child process or the management API gives the command to read. Nothing traps; what is read and
/// written again is read as the same; what was valid stays so.
@Suite("Whatever the command reads") struct FuzzTests {
    // MARK: The command line

    @Test func durations() async {
        let examples = ["500ms", "2s", "1.5m", "1h", "10", "0", "8784h", "0.000000001s"]
        let fault = await Fuzzing.firstFault(in: "durations", examples: examples, words: ["ms", "s", "m", "h", "."]) {
            bytes in
            guard let duration = DurationText.parse(String(decoding: bytes, as: UTF8.self)) else { return .refused }
            return duration >= .zero && duration <= .seconds(366 * 24 * 3600) ? .read : .wrong("\(duration)")
        }
        #expect(fault == nil)
    }

    /// The words of each command line stand between bytes of value 1.
    @Test func commandLines() async {
        let examples = [
            "run -w 2s --mutex=token -E 75 -s TERM -k 1.5s nightly -- make all", "run -nv --json --owner me n -- true",
            "elect --restart leader -- ./serve --port 80", "show --json a", "list 'night*' -w 1s", "observe a --json",
            "break a --yes --management http://u:p@h:15672", "fence check gate --name n --fence 42 --lead 1h -- cat",
            "shards -p 12 --broker kafka://h/t", "doctor --broker amqp://h", "bench --mutex sac,token --processes 2,4",
            "demo --workers 3 --rounds 9", "completion zsh", "help run", "--version", "bench-worker a -- b",
        ].map { $0.replacing(" ", with: "\u{1}") }
        let words =
            CommandDescriptor.all.flatMap { $0.allOptions.map { "--\($0.long)" } } + [
                "\u{1}", "\u{1}--\u{1}", "-w", "-",
            ]
        let fault = await Fuzzing.firstFault(in: "command lines", examples: examples, words: words) { bytes in
            let arguments = bytes.split(separator: 1, omittingEmptySubsequences: false).map {
                String(decoding: $0, as: UTF8.self)
            }
            do throws(CommandFailure) {
                _ = try Invocation.parse(arguments)
                return .read
            } catch {
                // What is quoted of it forges no line.
                let isPlain = !error.message.unicodeScalars.contains(where: \.needsEscaping)
                return error.status == ExitStatus.usage && isPlain ? .refused : .wrong(error.text)
            }
        }
        #expect(fault == nil)
    }

    @Test func signalsAndPatterns() async {
        let names = try? ["night/1", "a", String(repeating: "a", count: 200)].map { try LockName($0) }
        let examples = ["TERM", "SIGKILL", "9", "night*", "*a?a*"]
        let fault = await Fuzzing.firstFault(in: "signals and patterns", examples: examples, words: ["*", "?", "a*"]) {
            bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            if let signal = SignalName.parse(text), !(1...64).contains(signal) { return .wrong("\(signal)") }
            for name in names ?? [] where !NamePattern(text).hasWildcards && NamePattern(text).matches(name) {
                guard name.string.utf8.elementsEqual(text.utf8) else { return .wrong("matches \(name)") }
            }
            _ = Suggestion.nearest(to: text, among: examples)
            return .read
        }
        #expect(fault == nil)
    }

    // MARK: Brokers

    private static let uris = [
        "kafka://u:p%40@a:1,b,[::1]:3/t?session=6s&drain=0&partitions=12&auth_mechanism=plain&tls=true",
        "KAFKA://h?cacertfile=/a%20b&certfile=c&keyfile=k&insecure=true", "kafka:///t?socket.timeout.ms=100&ssl.x=y",
    ]

    @Test func addresses() async {
        let words = ["session=", "drain=", "partitions=", "&tls=true", "&x.y=z", "[::1]", "%40"]
        let fault = await Fuzzing.firstFault(in: "Kafka URIs", examples: Self.uris, words: words) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            guard let uri = try? KafkaURI(text) else { return .refused }
            guard let topic = uri.topic else { return .read }
            let configuration = try? uri.ownership(partitions: uri.partitions ?? 1)
            return configuration?.topic == topic && uri.partitions ?? 1 > 0 ? .read : .wrong("\(uri)")
        }
        #expect(fault == nil)
    }

    /// A password need not be encoded as it should: where it ends is then anybody's guess, and no part of it is shown.
    @Test func passwordsAreNotShown() async {
        let examples = [
            "s3cret", "s3cret?s3cret", "1/s3cret", "1?s3cret=s3cret", "1?a.b=1&s3.cret&s3.cret", "1?s3cret.x=%",
        ]
        let words = [
            "s3cret", "?s3cret", "/s3cret", "@s3cret", "&s3cret=", "&s3cret.a&s3cret.a&", "://s3cret", ":s3cret",
            "#s3cret",
            "?ssl.s3cret=", "?security.protocol=",
        ]
        let credentials = InspectionFixtures.credentials
        let fault = await Fuzzing.firstFault(in: "passwords in URIs", examples: examples, words: words) { bytes in
            let password = String(decoding: bytes.prefix(80), as: UTF8.self)
            var texts: [String] = []
            for uri in ["kafka://u:\(password)@h:1/t?session=6s", "amqp://u:\(password)@h/v", "u:\(password)@h"] {
                do throws(CommandFailure) {
                    guard case .kafka(let uri) = try BrokerSource.uri(uri).resolveAny(environment: { _ in nil }) else {
                        continue
                    }
                    texts += ["\(uri)", "\(uri.connection.brokers)"]
                    do throws(LockError) {
                        _ = try (try? uri.ownership(partitions: 1)).map { (configuration) throws(LockError) in
                            try ShardOwnership(configuration)
                        }
                    } catch {
                        texts.append("\(error) \(error.message)")
                    }
                } catch {
                    texts.append(error.text)
                }
            }
            do throws(LockError) {
                _ = try ManagementAPI("http://u:\(password)@h:15672/", credentials: credentials)
            } catch {
                texts.append("\(error) \(error.message)")
            }
            return texts.first { $0.contains("s3cret") }.map { .wrong("shown: \($0)") } ?? .read
        }
        #expect(fault == nil)
    }

    private static func write(_ bytes: [UInt8], to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(descriptor) }
        _ = bytes.withUnsafeBytes { bytes in
            #if canImport(Glibc)
            Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            #elseif canImport(Musl)
            Musl.write(descriptor, bytes.baseAddress, bytes.count)
            #else
            Darwin.write(descriptor, bytes.baseAddress, bytes.count)
            #endif
        }
    }

    private static func newPath() -> String {
        FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-fuzz-\(UUID())").path
    }

    @Test func brokerFiles() async {
        let path = Self.newPath()
        defer { unlink(path) }
        let examples = ["amqp://u:p@h/v\n", "# a comment\r\n\n  kafka://h/t  \n", "\u{FEFF}x"]
        let fault = await Fuzzing.firstFault(in: "broker files", examples: examples, words: ["#", "amqp://s3cret"]) {
            bytes in
            Self.write(bytes, to: path)
            do throws(CommandFailure) {
                let uri = try BrokerFile.read(path)
                return uri.isEmpty || uri.contains(where: \.isWhitespace) ? .wrong("'\(uri)'") : .read
            } catch {
                return error.text.contains("s3cret") ? .wrong(error.text) : .refused
            }
        }
        #expect(fault == nil)
    }

    @Test func headsOfScripts() async {
        let path = Self.newPath()
        defer { unlink(path) }
        let fault = await Fuzzing.firstFault(
            in: "heads of scripts", examples: ["#!/bin/sh -e\n", "#! \t/usr/bin/env python3\nx"],
            count: Fuzzing.count / 5
        ) { bytes in
            Self.write(bytes, to: path)
            guard let head = FileHead(path), let interpreter = head.interpreter else { return .refused }
            return !interpreter.isEmpty && !interpreter.contains("\n") && head.isText == head.isText
                ? .read : .wrong("'\(interpreter)'")
        }
        #expect(fault == nil)
    }

    // MARK: Children

    @Test func linesToTheGuard() async {
        let messages: [GuardMessage] = [
            .start(fence: "42", deadline: 100_000), .deadline(.max), .signal(15), .ending(signal: 15, grace: .max),
            .lose(signal: 15, killAt: .min),
        ]
        let all = messages.map(\.line).joined()
        let fault = await Fuzzing.firstFault(in: "lines to the guard", examples: messages.map(\.line) + [all]) {
            bytes in
            var outcome = Fuzzing.Outcome.refused
            var lines = LineBuffer()
            // Before the start, while the command runs, and when others are left of it.
            var machines = (0..<3).map { _ in GuardMachine(continueSignal: 18) }
            for index in 1...2 { _ = machines[index].handle(.message(.start(fence: "1", deadline: 50_000)), now: 1000) }
            _ = machines[2].handle(.message(.ending(signal: 15, grace: 10_000)), now: 1000)
            _ = machines[2].handle(.childEnded(status: 0), now: 1000)
            for line in lines.append(bytes) + lines.append([UInt8(ascii: "\n")]) {
                guard let message = GuardMessage(line: line) else { continue }
                guard GuardMessage(line: String(message.line.dropLast())) == message else {
                    return .wrong("another message")
                }
                outcome = .read
                for index in machines.indices {
                    _ = machines[index].handle(.message(message), now: 2000)
                    guard (-1...100).contains(machines[index].pollTimeout(now: 3000)) else { return .wrong("waits on") }
                    _ = machines[index].handle(.tick, now: 4000)
                }
            }
            return outcome
        }
        #expect(fault == nil)
    }

    @Test func linesOfTheGuard() async {
        let reports: [GuardReport] = [
            .started(pid: 4711), .failed(errno: 2), .expired, .ended(status: -1, at: .min, cause: .orphaned),
            .stopped(signal: 19), .undelivered(signal: 15, errno: 1), .killing, .survivor(pid: 0, errno: 0),
            .done(isComplete: false),
        ]
        let fault = await Fuzzing.firstFault(
            in: "lines of the guard", examples: reports.map { String($0.line.dropLast()) }
        ) {
            bytes in
            guard let report = GuardReport(line: String(decoding: bytes, as: UTF8.self)) else { return .refused }
            return GuardReport(line: String(report.line.dropLast())) == report ? .read : .wrong("another report")
        }
        #expect(fault == nil)
    }

    @Test func linesOfTheBenchmark() async {
        let examples = [
            "ready", "done", "times 1 2 3", "times 9223372036854775807 9223372036854775807 2", "turns 1 2 3 4",
            "granted 42", "failed unreachable no broker", "cycles 7",
            "turns 9 100", "make", "prepare", "hold",
        ]
        let fault = await Fuzzing.firstFault(in: "lines of the benchmark", examples: examples) { bytes in
            let line = String(decoding: bytes, as: UTF8.self)
            let order = BenchOrder(line: line)
            if let order, BenchOrder(line: order.line) != order { return .wrong("another order") }
            guard let answer = BenchAnswer(line: line) else { return order == nil ? .refused : .read }
            switch answer {
            case .times(let times):
                var sample = BenchSample()
                sample.add(times)
                if let figures = BenchFigures(sample, perSecond: sample.perSecond) {
                    let result = BenchResult(
                        mutex: "sac", measure: .recovery, processes: 2, mqlock: figures, raw: figures)
                    guard !JSONLine.text(of: result).isEmpty else { return .wrong("no line") }
                }
            case .turns(let instants):
                let turns = BenchTurns(
                    stride(from: 0, to: instants.count - 1, by: 2).map {
                        .init(contender: Int(instants[$0] % 3), granted: instants[$0], released: instants[$0 + 1])
                    })
                _ = (turns.overlaps, turns.handOvers, turns.handOversPerSecond, turns.fairness)
            default: break
            }
            // A message is shown, not understood.
            if case .failed = answer { return .read }
            return BenchAnswer(line: answer.line) == answer ? .read : .wrong("another answer")
        }
        #expect(fault == nil)
    }

    @Test func linesOfTheDemo() async {
        let notes: [DemoNote] = [
            .mayWrite(token: .max), .failed(code: "c", message: "m"),
            .met(DemoMeeting(at: 1, process: "a", other: "b", token: 2)),
        ]
        let event = History.Event(at: 81, process: "b", contender: "a", name: "n", kind: .granted(token: 2))
        let fault = await Fuzzing.firstFault(
            in: "lines of the demo", examples: notes.map(\.line) + [event.line], words: ["null", "{}", "\"token\":"]
        ) { bytes in
            switch DemoMessage(line: String(decoding: bytes, as: UTF8.self)) {
            case nil: return .refused
            case .event(let event):
                return DemoMessage(line: event.line) == .event(event) ? .read : .wrong("another event")
            case .note(let note):
                if case .met(let meeting) = note { _ = DemoMeeting.unexplained([meeting], by: [event]) }
                return DemoMessage(line: note.line) == .note(note) ? .read : .wrong("another note")
            }
        }
        #expect(fault == nil)
    }

    // MARK: The management API

    @Test func answersOfTheManagementAPI() async {
        let examples = [
            #"[{"name":"127.0.0.1:1 -> 127.0.0.1:2","user_provided_name":"mqlock a locks 00","user":"guest"}]"#,
            #"""
            [{"name":"mqlock.v1/n","consumers":1,"messages_unacknowledged":0,"owner_pid_details":{"name":"c"},
            "consumer_details":[{"activity_status":"single_active","channel_details":{"name":"ch","connection_name":"c"}}]}]
            """#,
            #"[{"name":"mqlock.v1.line/n","owner_pid_details":[],"consumer_details":[{"channel_details":[]}]}]"#,
        ]
        let words = [#""name":"#, "null", "[]", "{}", "true", #""mqlock.v1/%0A""#, " locks ", #""consumers":"#]
        let fault = await Fuzzing.firstFault(
            in: "answers of the management API", examples: examples, words: words, count: Fuzzing.count / 3
        ) { bytes in
            let (data, decoder) = (Data(bytes), JSONDecoder())
            var outcome = Fuzzing.Outcome.refused
            if let connections = try? decoder.decode([ManagementAPI.ListedConnection].self, from: data) {
                outcome = .read
                for entry in connections {
                    let connection = ManagementAPI.Connection(
                        name: entry.name, given: entry.user_provided_name, user: entry.user)
                    _ = connection.session
                    guard !connection.shown.unicodeScalars.contains(where: \.needsEscaping) else {
                        return .wrong("shown unescaped")
                    }
                }
            }
            if let queues = try? decoder.decode([ManagementAPI.ListedQueue].self, from: data) {
                outcome = .read
                _ = queues.map(\.lockInUse)
            }
            _ = try? decoder.decode([ManagementAPI.Queue].self, from: data)
            _ = try? decoder.decode(ManagementAPI.Channel.self, from: data)
            return outcome
        }
        #expect(fault == nil)
    }
}
