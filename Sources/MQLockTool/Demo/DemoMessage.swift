import Foundation
import MQLockTesting

/// What a worker of the demo tells its parent, one line of JSON each: events of the history, and notes besides.
enum DemoMessage: Equatable {
    case event(History.Event)
    case note(DemoNote)

    /// Reads a line; nil when it is neither.
    init?(line: String) {
        if let event = try? History.Event(line: line) {
            self = .event(event)
        } else if let note = try? JSONDecoder().decode(DemoNote.self, from: Data(line.utf8)) {
            self = .note(note)
        } else {
            return nil
        }
    }
}

/// What a worker says that belongs into no history.
enum DemoNote: Codable, Equatable {
    /// "I am in the critical section: may I write?" It stays there until the parent answers.
    case mayWrite(token: UInt64)
    /// The shared file shows somebody else in the critical section.
    case met(DemoMeeting)
    /// The worker gives up.
    case failed(code: String, message: String)

    /// The note as a line.
    var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Numbers and strings only: the encoder has nothing to refuse.
        return ((try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "") + "\n"
    }
}

/// One worker's view of another in the critical section.
struct DemoMeeting: Codable, Hashable {
    /// When, in nanoseconds of `HistoryClock`.
    var at: UInt64
    /// Who saw it.
    var process: String
    /// Whose mark is in the shared file.
    var other: String
    /// With which token it went in.
    var token: UInt64
}

extension DemoMeeting {
    /// The meetings that cannot be explained: a mark whose maker was dead, stopped, or without its lease by then is
    /// just what a crash leaves.
    static func unexplained(_ meetings: [DemoMeeting], by events: [History.Event]) -> [DemoMeeting] {
        meetings.filter { meeting in
            let others = events.filter { $0.process == meeting.other }
            guard let grant = others.firstIndex(where: { $0.kind == .granted(token: meeting.token) }) else {
                return true
            }
            for event in others[grant...] {
                switch event.kind {
                case .ended(_, let validUntil): return validUntil > meeting.at
                case .processDied, .processStopped: if event.at <= meeting.at { return false }
                default: continue
                }
            }
            return true
        }
    }
}
