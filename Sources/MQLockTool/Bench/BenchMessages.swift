import MQLock

/// The director's orders to a worker: one line each, on its standard input. When that ends, so does the worker.
///
/// The other program of `--beside` obeys the same orders. Its lock on the broker has a queue with the name given at its
/// start. It leaves no other object behind, whenever it is killed.
enum BenchOrder: Equatable {
    /// Create what all workers share on the broker. The first order to the first worker, for it alone. Answered by
    /// `ready`.
    case make
    /// Connect, and do what only the first use needs, whether the lock is free or not. Answered by `ready`.
    case prepare
    /// Acquire and release this often. Answered by `times`, in any number of lines, and `done`.
    case cycles(Int)
    /// Acquire this often, and hold for this many microseconds each time. Answered by `turns`, likewise, and `done`.
    case turns(Int, microseconds: Int)
    /// Acquire and keep. Answered by `granted`.
    case hold
    /// Say what this process has used so far. Answered by `usage`.
    case usage

    // For our own workers only.

    /// Acquire this often by each of so many tasks at once. Answered by `grants`, in any number of lines, and `done`.
    case tasks(Int, count: Int)
    /// Acquire so many other names, one after the other, and keep them. Answered by `times`, likewise, and `done`.
    case collect(Int)
    /// Release what was collected. Answered by `ready`.
    case drop
    /// Acquire, and lose it by the cut of this process's connections, this often. Answered by `times`, the time until
    /// the holder is notified, and `done`.
    case lose(Int)

    var line: String {
        switch self {
        case .make: "make"
        case .prepare: "prepare"
        case .cycles(let count): "cycles \(count)"
        case .turns(let count, let hold): "turns \(count) \(hold)"
        case .hold: "hold"
        case .usage: "usage"
        case .tasks(let tasks, let count): "tasks \(tasks) \(count)"
        case .collect(let count): "collect \(count)"
        case .drop: "drop"
        case .lose(let count): "lose \(count)"
        }
    }

    init?(line: String) {
        let words = line.split(separator: " ")
        let numbers = words.dropFirst().compactMap { Int($0) }
        guard numbers.count == words.count - 1 else { return nil }
        switch (words.first, numbers.count) {
        case ("make", 0): self = .make
        case ("prepare", 0): self = .prepare
        case ("cycles", 1): self = .cycles(numbers[0])
        case ("turns", 2): self = .turns(numbers[0], microseconds: numbers[1])
        case ("hold", 0): self = .hold
        case ("usage", 0): self = .usage
        case ("tasks", 2): self = .tasks(numbers[0], count: numbers[1])
        case ("collect", 1): self = .collect(numbers[0])
        case ("drop", 0): self = .drop
        case ("lose", 1): self = .lose(numbers[0])
        default: return nil
        }
    }
}

/// A worker's answers: one line each, on its standard output. Instants are nanoseconds of `HistoryClock`.
enum BenchAnswer: Equatable {
    case ready
    /// Durations of cycles, in nanoseconds.
    case times([UInt64])
    /// Grant and release of each turn, in order.
    case turns([UInt64])
    /// The number of the task, grant and release of each turn, in any order.
    case grants([UInt64])
    case granted(UInt64)
    /// Processor time in nanoseconds, and bytes of memory.
    case usage(cpu: UInt64, memory: UInt64)
    case done
    /// Ends the benchmark. The code is one of `LockError`, or empty.
    case failed(code: String, message: String)

    var line: String {
        switch self {
        case .ready: "ready"
        case .times(let times): "times \(Self.text(times))"
        case .turns(let instants): "turns \(Self.text(instants))"
        case .grants(let grants): "grants \(Self.text(grants))"
        case .granted(let instant): "granted \(instant)"
        case .usage(let cpu, let memory): "usage \(cpu) \(memory)"
        case .done: "done"
        case .failed(let code, let message): "failed \(code.isEmpty ? "-" : code) \(message.escapedForDisplay)"
        }
    }

    init?(line: String) {
        let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        switch words.first {
        case "ready": self = .ready
        case "done": self = .done
        case "times":
            guard let times = Self.numbers(words.dropFirst()) else { return nil }
            self = .times(times)
        case "turns":
            guard let instants = Self.numbers(words.dropFirst()) else { return nil }
            self = .turns(instants)
        case "grants":
            guard let grants = Self.numbers(words.dropFirst()) else { return nil }
            self = .grants(grants)
        case "usage":
            guard let numbers = Self.numbers(words.dropFirst()), numbers.count == 2 else { return nil }
            self = .usage(cpu: numbers[0], memory: numbers[1])
        case "granted":
            guard words.count == 2, let instant = UInt64(words[1]) else { return nil }
            self = .granted(instant)
        case "failed":
            guard words.count > 1 else { return nil }
            self = .failed(code: words[1], message: words.dropFirst(2).joined(separator: " "))
        default: return nil
        }
    }

    private static func numbers(_ words: ArraySlice<String>) -> [UInt64]? {
        let numbers = words.compactMap { UInt64($0) }
        return numbers.count == words.count ? numbers : nil
    }

    private static func text(_ numbers: [UInt64]) -> String { numbers.map(String.init).joined(separator: " ") }
}
