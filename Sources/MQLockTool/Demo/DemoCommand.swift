import Foundation
import MQLock
import MQLockTesting

/// `mqlock demo`: real processes contend for one lock, are killed and stopped, and their observations are checked.
enum DemoCommand {
    /// Runs the demo to its end.
    /// - Parameters:
    ///   - broker: the broker's URI.
    /// - Returns: the exit status.
    static func run(_ options: DemoOptions, broker: String) async -> Int32 {
        do {
            var director = try DemoDirector(options, broker: broker)
            return try await director.run()
        } catch {
            let failure = error as? CommandFailure
            Output.process.standardError(failure?.text ?? "mqlock: \(String(describing: error).escapedForDisplay)\n")
            return failure?.status ?? ExitStatus.internalError
        }
    }
}

/// The parent: performs the scenario, keeps the history, and shows it.
private struct DemoDirector: ~Copyable {
    private enum Input: Sendable {
        case output(String, ChildProcess.Output)
        /// A worker has been seen in the critical section for long enough.
        case due(String)
        case tick
        case signal(Int32)
    }

    /// How long a holder is shown before it may write and leave.
    private static let visit = Duration.milliseconds(350)
    private static let patience = Duration.seconds(60)

    private let options: DemoOptions
    private let broker: String
    private let directory: String
    private let inputs: AsyncStream<Input>
    private let continuation: AsyncStream<Input>.Continuation
    private var scenario: DemoScenario
    private var view: DemoView
    private var screen: DemoScreen
    private var processes: [String: ChildProcess] = [:]
    private var killed: Set<String> = []
    private var spawned = 0
    private var events: [History.Event] = []
    private var meetings: [DemoMeeting] = []
    private var lastNews = ContinuousClock.now

    init(_ options: DemoOptions, broker: String) throws(CommandFailure) {
        self.options = options
        self.broker = broker
        let parent = FileManager.default.temporaryDirectory.path
        var template = Array((parent + "/mqlock-demo-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw .system("mkdtemp", parent) }
        directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        (inputs, continuation) = AsyncStream.makeStream(of: Input.self)
        scenario = DemoScenario(options)
        view = DemoView(startedAt: HistoryClock.now)
        screen = DemoScreen(isJSON: options.isJSON)
    }

    deinit {
        for process in processes.values { process.end() }
        try? FileManager.default.removeItem(atPath: directory)
    }

    mutating func run() async throws -> Int32 {
        try TerminatingSignals.watch { [continuation] in continuation.yield(.signal($0)) }
        let ticker = Task { [continuation] in
            while (try? await Task.sleep(for: .milliseconds(250))) != nil { continuation.yield(.tick) }
        }
        defer { ticker.cancel() }
        for _ in 0..<options.workers { try spawn() }
        for await input in inputs {
            switch input {
            case .output(let id, let output): try take(output, from: id)
            case .due(let id): processes[id]?.send("go")
            case .tick: try checkPatience()
            case .signal(let number): return ExitStatus.ended(bySignal: number)
            }
            screen.draw(view, now: HistoryClock.now, lock: options.lock)
            if processes.isEmpty { break }
        }
        let report = DemoReport(events, meetings)
        screen.json(report.line)
        screen.finish(report.text)
        return report.exitStatus
    }

    private mutating func take(_ output: ChildProcess.Output, from id: String) throws(CommandFailure) {
        lastNews = .now
        switch output {
        case .line(let line):
            guard let message = DemoMessage(line: line) else {
                throw CommandFailure(
                    status: ExitStatus.internalError,
                    message: "\(id) said something that is no event: \(line.escapedForDisplay)")
            }
            try take(message, from: id)
        case .ended(let status):
            processes.removeValue(forKey: id)?.close()
            view.ended(id)
            guard !killed.contains(id), status != 0 || !scenario.expectsEnd(of: id) else { return }
            throw CommandFailure(
                status: ExitStatus.internalError, message: "\(id) ended unexpectedly, wait status \(status)")
        }
    }

    private mutating func take(_ message: DemoMessage, from id: String) throws(CommandFailure) {
        switch message {
        case .event(let event):
            record(event)
            try act(scenario.took(event), at: event.at)
        case .note(.mayWrite): try act(scenario.asked(id), at: HistoryClock.now)
        case .note(.met(let meeting)):
            meetings.append(meeting)
        case .note(.failed(let code, let message)): throw CommandFailure(code: code, message: message)
        }
    }

    private mutating func act(_ actions: [DemoScenario.Action], at: UInt64) throws(CommandFailure) {
        for action in actions {
            switch action {
            case .answer(let id):
                Task { [continuation] in
                    try? await Task.sleep(for: Self.visit)
                    continuation.yield(.due(id))
                }
            case .answerNow(let id): processes[id]?.send("go")
            case .kill(let id):
                killed.insert(id)
                // Before the signal: the broker may hand the lock to another worker before we notice the death. The
                // victim does nothing meanwhile, because it waits for our answer.
                record(id, .processDied)
                processes[id]?.signal(SIGKILL)
            case .stop(let id):
                processes[id]?.signal(SIGSTOP)
                processes[id]?.awaitStop()
                record(id, .processStopped)
            case .resume(let id):
                record(id, .processContinued)
                processes[id]?.signal(SIGCONT)
            case .spawn: try spawn()
            case .quitAll: for process in processes.values { process.send("quit") }
            case .say(let text): screen.show(view.say(text, at: at), of: view)
            }
        }
    }

    private mutating func spawn() throws(CommandFailure) {
        spawned += 1
        let id = "w\(spawned)"
        let sabotage = options.isSabotage ? ["--sabotage"] : []
        processes[id] = try ChildProcess(
            id: id, command: .demoWorker, arguments: [id, options.lock, directory] + sabotage, broker: broker
        ) {
            [continuation] in continuation.yield(.output(id, $0))
        }
        view.add(id)
    }

    private mutating func record(_ id: String, _ kind: History.Kind) {
        record(History.Event(at: HistoryClock.now, process: id, kind: kind))
    }

    private mutating func record(_ event: History.Event) {
        events.append(event)
        screen.json(event.line)
        screen.show(view.take(event), of: view)
    }

    private func checkPatience() throws(CommandFailure) {
        guard lastNews.duration(to: .now) > Self.patience else { return }
        throw CommandFailure(
            status: ExitStatus.internalError,
            message: """
                no worker has done anything for \(Self.patience.readable) (\(scenario.phase)); does somebody else hold the \
                lock \(options.lock.escapedForDisplay)? --lock takes another one
                """)
    }
}
