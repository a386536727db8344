package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"paas/platform"
)

// page cuts what the client asks for out of a sorted list, n entries after last, and links to the rest.
func page(r request, all []string) ([]string, error) {
	if last := r.QueryParam("last"); last != "" {
		i, found := slices.BinarySearch(all, last)
		if found {
			i++
		}
		all = all[i:]
	}
	text := r.QueryParam("n")
	if text == "" {
		return all, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return nil, problem{http.StatusBadRequest, "UNSUPPORTED", "n is not a number"}
	}
	if n < len(all) && n > 0 {
		q := url.Values{"n": {text}, "last": {all[n-1]}}
		r.Response().Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.Request().URL.Path, q.Encode()))
	}
	return all[:min(n, len(all))], nil
}

func (s *server) listTags(r request) error {
	tags, err := s.Store.Tags(r.ctx(), r.repo)
	if platform.KindOf(err) == platform.NotFound {
		return problem{http.StatusNotFound, "NAME_UNKNOWN", err.Error()}
	}
	if err != nil {
		return err
	}
	slices.Sort(tags)
	if tags, err = page(r, tags); err != nil {
		return err
	}
	return r.JSON(http.StatusOK, map[string]any{"name": r.repo, "tags": tags})
}

// catalog lists the repositories that the client may read.
func (s *server) catalog(r request) error {
	if r.Request().Method != http.MethodGet {
		return problem{http.StatusMethodNotAllowed, "UNSUPPORTED", r.Request().Method + " does nothing here"}
	}
	repos, err := s.Store.Repositories(r.ctx())
	if err != nil {
		return err
	}
	names := []string{}
	for _, repo := range repos {
		if s.Platform.OpenRepository(r.ctx(), r.actor, repo, false) == nil {
			names = append(names, string(repo))
		}
	}
	slices.Sort(names)
	if names, err = page(r, names); err != nil {
		return err
	}
	return r.JSON(http.StatusOK, map[string]any{"repositories": names})
}

const indexType = "application/vnd.oci.image.index.v1+json"

// listReferrers answers with an index of the manifests about a digest.
func (s *server) listReferrers(r request) error {
	all, err := s.Store.Referrers(r.ctx(), r.repo, r.ref)
	if err != nil {
		return blobCodes.of(err)
	}
	if want := r.QueryParam("artifactType"); want != "" {
		all = slices.DeleteFunc(all, func(d platform.Descriptor) bool { return d.ArtifactType != want })
		r.Response().Header().Set("OCI-Filters-Applied", "artifactType")
	}
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": all})
	if err != nil {
		return err
	}
	return r.Blob(http.StatusOK, indexType, body)
}
