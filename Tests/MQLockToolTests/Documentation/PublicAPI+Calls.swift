extension PublicAPI {
    /// A function or an initializer, as a line of the list declares it.
    struct Call {
        /// With the labels of all parameters, and without those that have a default: `acquire(_:within:)`, `acquire(_:)`.
        let names: Set<String>
        /// Of the parameters.
        let types: [String]

        /// Nil for what is neither.
        init?(_ line: String) {
            guard let open = line.firstIndex(of: "(") else { return nil }
            let start = line[..<open].split(separator: " ").last.map(String.init) ?? ""
            guard line[..<open].contains("func ") || start.hasPrefix("init") else { return nil }
            var depth = 0
            var parameters = [""]
            scan: for character in line[line.index(after: open)...] {
                switch character {
                case ")" where depth == 0: break scan
                case "," where depth == 0: parameters.append("")
                default:
                    if "([<{".contains(character) { depth += 1 }
                    if ")]}".contains(character) || character == ">" && parameters.last?.last != "-" { depth -= 1 }
                    parameters[parameters.count - 1].append(character)
                }
            }
            let parts = parameters.map { $0.split(separator: ":", maxSplits: 1).map { $0.split(separator: " ") } }
                .filter { $0.count == 2 }
            names = Set(
                [parts, parts.filter { !$0[1].contains("=") }].map { shown in
                    let labels = shown.map { "\($0[0].first ?? "_"):" }.joined()
                    return "\(start.split(separator: "<").first ?? "")(\(labels))"
                })
            types = parts.map { $0[1].prefix { $0 != "=" }.joined(separator: " ") }
        }
    }
}
