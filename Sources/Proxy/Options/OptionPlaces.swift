/// Where in a configuration file options were set, for what is to be said about them.
struct OptionPlaces {
    /// `FILE:LINE` of each mention that counts; nothing for one of the command line.
    private var places: [String: [String]] = [:]

    /// Takes note of a mention.
    mutating func note(_ option: OptionDeclaration, at place: String) {
        if option.kind.accumulates {
            places[option.name, default: []].append(place)
        } else {
            places[option.name] = [place]
        }
    }

    /// Forgets what the file said, as the command line says it anew.
    mutating func forget(_ option: OptionDeclaration) {
        places[option.name] = nil
    }

    /// `FILE:LINE: ` to stand ahead of a sentence; nothing where no file has set the option.
    /// - Parameter mention: which mention, from 0; nil for the last.
    func prefix(_ name: String, mention: Int? = nil) -> String {
        guard let all = places[name], let last = all.last else { return "" }
        let place = mention.flatMap { all.indices.contains($0) ? all[$0] : nil } ?? last
        return place.isEmpty ? "" : "\(place): "
    }
}
